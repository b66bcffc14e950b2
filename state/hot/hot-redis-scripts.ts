/** The Lua scripts of HotRedis. Each works on one key, or on a list of keys in turn, by the clock of Redis. */
import { createHash } from 'node:crypto';

/**
 * KEYS: devices. ARGV: ttl in ms, then for each device: fresh session, session to resume or '', least epoch, run of the
 * client or '', its attempt. Returns for each: epoch, session, resumed (0 or 1); the epoch is '' where a later attempt of
 * the run has claimed the device.
 *
 * Lua's numbers are doubles: µs since 1970 are exact in them until the year 2255.
 */
const CLAIM = `
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000000 + tonumber(time[2])
local claims = {}
for i, key in ipairs(KEYS) do
  local at = i * 5 - 3
  local run, attempt = ARGV[at + 3], ARGV[at + 4]
  local before = redis.call('HMGET', key, 'epoch', 'session', 'run', 'attempt')
  if run ~= '' and before[3] == run and tonumber(before[4]) > tonumber(attempt) then
    claims[i] = {'', '', 0}
  else
    local epoch = math.max(now, tonumber(ARGV[at + 2]))
    if before[1] and tonumber(before[1]) >= epoch then epoch = tonumber(before[1]) + 1 end
    local text = string.format('%.0f', epoch)
    local resumed = 0
    local session = ARGV[at]
    if ARGV[at + 1] ~= '' and before[2] == ARGV[at + 1] then
      resumed = 1
      session = ARGV[at + 1]
    end
    redis.call('HSET', key, 'epoch', text, 'session', session, 'held', '1', 'run', run, 'attempt', attempt)
    redis.call('PEXPIRE', key, ARGV[1])
    claims[i] = {text, session, resumed}
  end
end
return claims
`;
/** KEYS: devices. ARGV: for each epoch, grace in ms. Returns for each whether it was held. */
const RELEASE = `
local released = {}
for i, key in ipairs(KEYS) do
  local before = redis.call('HMGET', key, 'epoch', 'held')
  local graceMs = ARGV[i * 2]
  released[i] = 0
  if before[1] == ARGV[i * 2 - 1] and before[2] == '1' then
    released[i] = 1
    if tonumber(graceMs) <= 0 then
      redis.call('DEL', key)
    else
      redis.call('HSET', key, 'held', '0')
      redis.call('PEXPIRE', key, graceMs)
    end
  end
end
return released
`;

/**
 * GCRA: the key holds the time, in µs, at which the bucket would be full again.
 *
 * KEYS: bucket. ARGV: µs per token, burst. Returns 0 when allowed, else µs to wait.
 */
const ALLOW = `
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000000 + tonumber(time[2])
local interval = tonumber(ARGV[1])
local arrival = tonumber(redis.call('GET', KEYS[1]) or now)
if arrival < now then arrival = now end
arrival = arrival + interval
local wait = arrival - interval * tonumber(ARGV[2]) - now
if wait > 0 then return wait end
redis.call('SET', KEYS[1], string.format('%.0f', arrival), 'PX', math.max(1, math.ceil((arrival - now) / 1000)))
return 0
`;

/** KEYS: bucket. ARGV: µs per token. */
const GIVE_BACK = `
local arrival = redis.call('GET', KEYS[1])
if not arrival then return 0 end
local time = redis.call('TIME')
local left = tonumber(arrival) - tonumber(ARGV[1]) - tonumber(time[1]) * 1000000 - tonumber(time[2])
if left <= 0 then return redis.call('DEL', KEYS[1]) end
redis.call('SET', KEYS[1], string.format('%.0f', tonumber(arrival) - tonumber(ARGV[1])), 'PX', math.ceil(left / 1000))
return 1
`;

/** KEYS: set. ARGV: member, ttl in ms, most members kept. */
const REMEMBER = `
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now)
redis.call('ZADD', KEYS[1], now + tonumber(ARGV[2]), ARGV[1])
redis.call('ZREMRANGEBYRANK', KEYS[1], 0, -1 - tonumber(ARGV[3]))
return redis.call('PEXPIRE', KEYS[1], ARGV[2])
`;

/** KEYS: set. ARGV: member. Returns 1 when it is remembered. */
const REMEMBERS = `
local untilMs = redis.call('ZSCORE', KEYS[1], ARGV[1])
local time = redis.call('TIME')
if untilMs and tonumber(untilMs) > tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000) then return 1 end
return 0
`;

/** KEYS: tie. ARGV: value, ttl in ms. Returns the value that is tied. */
const TIE = `
local before = redis.call('GET', KEYS[1])
if before then return before end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return ARGV[1]
`;

/** KEYS: tie. ARGV: value. */
const UNTIE = `
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
return redis.call('DEL', KEYS[1])
`;

/**
 * The orders are a sorted set by the time of the order, µs; a member is that time and the order's text, so that each
 * is one of its own.
 *
 * KEYS: evictions. ARGV: ttl in ms, most orders kept, text, least time. Returns the time.
 */
const EVICT = `
local time = redis.call('TIME')
local at = tonumber(time[1]) * 1000000 + tonumber(time[2])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', string.format('(%.0f', at - tonumber(ARGV[1]) * 1000))
local newest = redis.call('ZRANGE', KEYS[1], -1, -1, 'WITHSCORES')
if newest[2] and tonumber(newest[2]) >= at then at = tonumber(newest[2]) + 1 end
if tonumber(ARGV[4]) > at then at = tonumber(ARGV[4]) end
local text = string.format('%.0f', at)
redis.call('ZADD', KEYS[1], text, text .. ':' .. ARGV[3])
redis.call('ZREMRANGEBYRANK', KEYS[1], 0, -1 - tonumber(ARGV[2]))
redis.call('PEXPIRE', KEYS[1], ARGV[1])
return text
`;

/** KEYS: evictions. ARGV: ttl in ms, then members. Returns how many of them are not too old. */
const RESTORE = `
local time = redis.call('TIME')
local oldest = tonumber(time[1]) * 1000000 + tonumber(time[2]) - tonumber(ARGV[1]) * 1000
local kept = 0
for i = 2, #ARGV do
  local at = string.match(ARGV[i], '^%d+')
  if tonumber(at) > oldest then
    redis.call('ZADD', KEYS[1], at, ARGV[i])
    kept = kept + 1
  end
end
redis.call('PEXPIRE', KEYS[1], ARGV[1])
return kept
`;

/** The scripts as methods of the client. */
export interface HotRedisScripts {
  gochatClaim(
    keys: readonly string[],
    ttlMs: number,
    ...claims: (string | number)[]
  ): Promise<[epoch: string, session: string, resumed: number][]>;
  gochatRelease(keys: readonly string[], ...releases: (string | number)[]): Promise<number[]>;
  gochatAllow(key: string, intervalUs: number, burst: number): Promise<number>;
  gochatGiveBack(key: string, intervalUs: number): Promise<number>;
  gochatRemember(key: string, member: string, ttlMs: number, most: number): Promise<number>;
  gochatRemembers(key: string, member: string): Promise<number>;
  gochatTie(key: string, value: string, ttlMs: number): Promise<string>;
  gochatUntie(key: string, value: string): Promise<number>;
  gochatEvict(key: string, ttlMs: number, most: number, text: string, least: string): Promise<string>;
  gochatRestore(key: string, ttlMs: number, ...members: string[]): Promise<number>;
}

/** A runner of scripts; implemented by ioredis. */
export interface ScriptRunner {
  evalsha(sha: string, keys: number, ...args: (string | number)[]): Promise<unknown>;
  eval(lua: string, keys: number, ...args: (string | number)[]): Promise<unknown>;
}

/** Adds the scripts to a client. ioredis could do that too, but keeps each call in memory until a full collection. */
export function scriptsOn(redis: ScriptRunner): HotRedisScripts {
  return {
    gochatClaim: scriptOfMany(redis, CLAIM),
    gochatRelease: scriptOfMany(redis, RELEASE),
    gochatAllow: script(redis, ALLOW),
    gochatGiveBack: script(redis, GIVE_BACK),
    gochatRemember: script(redis, REMEMBER),
    gochatRemembers: script(redis, REMEMBERS),
    gochatTie: script(redis, TIE),
    gochatUntie: script(redis, UNTIE),
    gochatEvict: script(redis, EVICT),
    gochatRestore: script(redis, RESTORE),
  };
}

function script<T>(redis: ScriptRunner, lua: string): (...args: (string | number)[]) => Promise<T> {
  const call = scriptOfMany<T>(redis, lua);
  return (key, ...args) => call([`${key}`], ...args);
}

/** Calls a script by its digest, which is shorter; if Redis does not know it, by its text. */
function scriptOfMany<T>(
  redis: ScriptRunner,
  lua: string,
): (keys: readonly string[], ...args: (string | number)[]) => Promise<T> {
  const sha = createHash('sha1').update(lua).digest('hex');
  return async (keys, ...args) => {
    try {
      return (await redis.evalsha(sha, keys.length, ...keys, ...args)) as T;
    } catch (error) {
      if (!(error instanceof Error && error.message.startsWith('NOSCRIPT'))) throw error;
      return (await redis.eval(lua, keys.length, ...keys, ...args)) as T;
    }
  };
}
