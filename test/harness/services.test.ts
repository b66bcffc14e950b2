import { access } from 'node:fs/promises';
import { Redis } from 'ioredis';
import pg from 'pg';
import { describe, expect, test } from 'vitest';
import { startServices } from './services.ts';

describe('shared engines', () => {
  test('environment: names all three', () => {
    expect(process.env['GOCHAT_TEST_ETCD']).toMatch(/^etcd:\/\/127\.0\.0\.1:\d+$/);
    expect(process.env['GOCHAT_TEST_REDIS']).toMatch(/^redis:\/\//);
    expect(process.env['GOCHAT_TEST_POSTGRES']).toMatch(/^postgres:\/\//);
  });

  test('etcd: is healthy', async () => {
    const url = (process.env['GOCHAT_TEST_ETCD'] ?? '').replace('etcd:', 'http:');
    const response = await fetch(`${url}/health`);
    expect(await response.json()).toMatchObject({ health: 'true' });
  });

  test('PostgreSQL: the role may create databases and is not a superuser', async () => {
    const pool = new pg.Pool({ connectionString: process.env['GOCHAT_TEST_POSTGRES'] ?? '' });
    const { rows } = await pool.query(
      'select rolcreatedb, rolsuper from pg_roles where rolname = current_user',
    );
    await pool.end();
    expect(rows[0]).toEqual({ rolcreatedb: true, rolsuper: false });
  });
});

describe('engines of a test', () => {
  test('redis: stops, starts on the same port, dies, pauses; is stopped at the end', async () => {
    const services = await startServices({ only: ['redis'] });
    const url = services.urls.redis;
    expect(services.urls.etcd).toBe('');
    expect(await ping(url)).toBe('PONG');
    const first = await services.pid('redis');
    await services.stop('redis');
    await expect(ping(url)).rejects.toThrow();
    await services.start('redis');
    expect(await ping(url)).toBe('PONG');
    expect(await services.pid('redis')).not.toBe(first);
    await services.kill('redis');
    await expect(ping(url)).rejects.toThrow();
    await services.start('redis');
    await services.pause('redis');
    await expect(ping(url)).rejects.toThrow();
    await services.resume('redis');
    expect(await ping(url)).toBe('PONG');
    await services[Symbol.asyncDispose]();
    await expect(ping(url)).rejects.toThrow();
    await expect(access(services.dir)).rejects.toThrow();
  });

  test('postgres: a paused one ends in good order, a killed one starts again', async () => {
    await using services = await startServices({ only: ['postgres'] });
    const pool = new pg.Pool({ connectionString: services.urls.postgres, connectionTimeoutMillis: 5000 });
    pool.on('error', () => undefined);
    await pool.query('select 1');
    await services.kill('postgres');
    await services.start('postgres');
    expect((await pool.query('select 1 as one')).rows).toEqual([{ one: 1 }]);
    await pool.end();
    await services.pause('postgres');
  });
});

async function ping(url: string): Promise<string> {
  const redis = new Redis(url, {
    lazyConnect: true,
    connectTimeout: 500,
    commandTimeout: 500,
    retryStrategy: null,
  });
  redis.on('error', () => undefined);
  try {
    await redis.connect();
    return await redis.ping();
  } finally {
    redis.disconnect();
  }
}
