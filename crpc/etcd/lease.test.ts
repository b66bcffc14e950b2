/** Tests of a lease's validity, on fake clocks. */
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { Lease, instantNow } from './lease.ts';

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['performance', 'Date'] });
});
afterEach(() => {
  vi.useRealTimers();
});

describe('Lease', () => {
  test('its end: counted from when it was requested, and a hundredth earlier than etcd’s', () => {
    const asked = instantNow();
    vi.advanceTimersByTime(300);
    const lease = new Lease(1n, 10, asked);
    expect(lease.leftMs).toBeCloseTo(9900 - 300);
    vi.advanceTimersByTime(9600);
    expect(lease.leftMs).toBeLessThanOrEqual(0);
  });

  test('a renewal: counts from when it was sent, however late the answer', () => {
    const lease = new Lease(1n, 10, instantNow());
    vi.advanceTimersByTime(5000);
    const asked = instantNow();
    vi.advanceTimersByTime(4000);
    lease.renewed(asked);
    expect(lease.leftMs).toBeCloseTo(9900 - 4000);
  });

  test('a machine that slept: the wall clock counts the time, though the monotonic clock did not', () => {
    const lease = new Lease(1n, 10, instantNow());
    vi.setSystemTime(Date.now() + 20_000);
    expect(lease.leftMs).toBeLessThanOrEqual(0);
  });

  test('a wall clock that is set back: does not make it last longer', () => {
    const lease = new Lease(1n, 10, instantNow());
    vi.advanceTimersByTime(8000);
    vi.setSystemTime(Date.now() - 3_600_000);
    expect(lease.leftMs).toBeCloseTo(1900);
  });
});
