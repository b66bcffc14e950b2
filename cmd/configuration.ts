/** Configuration: flags over GOCHAT_* environment over a YAML file over defaults, checked once, then frozen. */
import { readFileSync } from 'node:fs';
import { parse as parseYaml } from 'yaml';
import { z } from 'zod';
import { AddressList, Cors, GochatError, NATIVE_VARIABLE, TrustedProxies } from '../common/mod.ts';

/** The settings of one mode: camelCase key → zod type with a default or optional, described. */
export type Settings = Readonly<Record<string, z.ZodType>>;
export type Config<S extends Settings> = Readonly<{ [K in keyof S]: z.output<S[K]> }>;

/** An integer; text from flags and environment must be decimal digits. */
export function integer(min: number, max: number) {
  return z.preprocess(
    (value) => (typeof value === 'string' && /^-?\d{1,15}$/.test(value) ? Number(value) : value),
    z
      .number({ error: `expected a whole number from ${min} to ${max}` })
      .int()
      .min(min)
      .max(max),
  );
}

/** A share, 0 to 1; text from flags and environment must be a decimal number. */
export function share() {
  return z.preprocess(
    (value) => (typeof value === 'string' && /^\d(\.\d{1,15})?$/.test(value) ? Number(value) : value),
    z.number({ error: 'expected a number from 0 to 1' }).min(0).max(1),
  );
}

/** A TCP port; 0 takes a free one. */
export function port() {
  return integer(0, 65_535);
}

/** A TCP port, or `off` for none. */
export function portOrOff() {
  return z.preprocess(
    (value) => (typeof value === 'string' && /^\d{1,15}$/.test(value) ? Number(value) : value),
    z.union([z.literal('off'), z.number().int().min(0).max(65_535)], {
      error: 'expected a port from 0 to 65535, or off',
    }),
  );
}

/** Yes or no; flags take --key and --no-key, text is true or false. */
export function flag() {
  return z.preprocess(
    (value) =>
      value === 'true' || value === '1' ? true : value === 'false' || value === '0' ? false : value,
    z.boolean({ error: 'expected true or false' }),
  );
}

/** Text of 1 to `max` characters. */
export function text(max = 1024) {
  return z.string({ error: 'expected text' }).min(1, 'must not be empty').max(max);
}

/** Addresses and networks, for example `10.0.0.0/8,::1`; may be empty. */
export function addresses() {
  return parsedText((value) => new AddressList(value), {
    error: 'expected addresses or networks such as 10.0.0.0/8, with commas between them',
  });
}

/** Trusted proxies, see TrustedProxies; may be empty. */
export function proxies() {
  const text = parsedText((value) => new TrustedProxies(value), {
    error:
      'expected how many proxies each request passes, or their addresses and networks such as 10.0.0.0/8 with commas ' +
      'between them; instead of true write 1, instead of false leave it out',
  });
  return z.preprocess((value) => (typeof value === 'number' ? String(value) : value), text);
}

/** Origins of web pages, see Cors; may be empty. */
export function origins() {
  return parsedText((value) => new Cors(value), {
    error: 'expected origins such as https://chat.example.org with commas between them, or *',
  });
}

/** Origins of WebSocket servers, comma-separated. */
export function socketOrigins() {
  return parsedText(
    (value) => {
      for (const origin of listOf(value))
        if (!/^wss?:/.test(origin) || new URL(origin).origin === 'null' || new URL(origin).pathname !== '/')
          throw new RangeError(`${origin} is not an origin`);
    },
    { error: 'expected origins such as wss://gateway.example.org:8901 with commas between them' },
  );
}

/** Returns what stands between the commas of a setting. */
export function listOf(text: string): readonly string[] {
  return text
    .split(',')
    .map((each) => each.trim())
    .filter((each) => each !== '');
}

/** Text that is validated by parsing it. */
function parsedText(parse: (text: string) => unknown, { error }: { readonly error: string }) {
  const isValid = (text: string): boolean => {
    try {
      parse(text);
      return true;
    } catch {
      // The parser's RangeError names one entry; `error` describes all of them.
      return false;
    }
  };
  return z.string({ error }).max(4096).refine(isValid, { error });
}

/** A URL whose scheme is one of those given. */
export function url(...schemes: string[]) {
  return text().refine((value) => schemes.some((scheme) => value.startsWith(`${scheme}://`)), {
    error: `expected a URL that begins with ${schemes.map((scheme) => `${scheme}://`).join(' or ')}`,
  });
}

/** wsPort → ws-port: the flag without its dashes. */
export function flagName(key: string): string {
  return key.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
}

/** wsPort → ws_port: the key in the YAML file. */
export function fileKey(key: string): string {
  return flagName(key).replaceAll('-', '_');
}

/** wsPort → GOCHAT_WS_PORT. */
export function envName(key: string): string {
  return `GOCHAT_${fileKey(key).toUpperCase()}`;
}

/** Variables with names that other systems use too; GOCHAT_* has precedence. */
const PLAIN_VARIABLES: Readonly<Record<string, string>> = {
  JWT_SECRET: 'jwtSecret',
  SERVER_ID: 'name',
};
/** Those that only the mode `up` reads: on a machine with other programs they may be another one's. */
const PLAIN_VARIABLES_OF_UP: Readonly<Record<string, string>> = {
  DATABASE_URL: 'store',
  REDIS_URL: 'hot',
  PORT: 'apiPort',
};

export interface Sources {
  /** Values of the flags given, by camelCase key. */
  readonly flags: Readonly<Record<string, unknown>>;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Path of the YAML file; undefined: none. */
  readonly file: string | undefined;
  /** Called for ignored variables that a platform has set. */
  readonly warn?: (text: string) => void;
}

/**
 * Loads the configuration of `mode`.
 *
 * The file has settings of any mode at its top level and, with precedence, in a section named like the mode. A key or
 * GOCHAT_* variable that no mode knows is an error, and so is an invalid value. Variables that Kubernetes sets for a
 * service named gochat or gochat-something are ignored with a warning.
 *
 * @throws GochatError USAGE for a wrong flag, CONFIG_INVALID for anything else; both name the place
 */
export function loadConfig<S extends Settings>(
  mode: string,
  modes: Readonly<Record<string, Settings>>,
  settings: S,
  sources: Sources,
): Config<S> {
  const known = new Set(Object.values(modes).flatMap((one) => Object.keys(one)));
  const raw: Record<string, unknown> = {};
  const origin: Record<string, string> = {};
  const take = (key: string, value: unknown, from: string) => {
    if (value === undefined || !Object.hasOwn(settings, key)) return;
    raw[key] = value;
    origin[key] = from;
  };

  if (sources.file !== undefined) {
    const document = readConfigFile(sources.file);
    const keyOf = new Map([...known].map((key) => [fileKey(key), key]));
    const walk = (values: Record<string, unknown>, prefix: string, allowed: (key: string) => boolean) => {
      for (const [name, value] of Object.entries(values)) {
        const key = keyOf.get(name);
        if (key === undefined || !allowed(key)) {
          throw invalid(`${sources.file}: there is no setting ${prefix}${name}${ownersOf(key, modes)}`);
        }
        if (prefix === '' || prefix === `${mode}.`) take(key, value, `${sources.file}: ${prefix}${name}`);
      }
    };
    const top = Object.entries(document).filter(([name]) => !Object.hasOwn(modes, name));
    walk(Object.fromEntries(top), '', () => true);
    for (const [name, own] of Object.entries(modes)) {
      const section = document[name];
      if (section === undefined || section === null) continue;
      if (!isRecord(section)) throw invalid(`${sources.file}: ${name} is not a section of settings`);
      walk(section, `${name}.`, (key) => Object.hasOwn(own, key));
    }
  }

  const plain = mode === 'up' ? { ...PLAIN_VARIABLES, ...PLAIN_VARIABLES_OF_UP } : PLAIN_VARIABLES;
  for (const [name, key] of Object.entries(plain)) take(key, sources.env[name], name);
  const envKeys = new Map([...known].map((key) => [envName(key), key]));
  const ofServices: string[] = [];
  for (const [name, value] of Object.entries(sources.env)) {
    if (!name.startsWith('GOCHAT_') || name === 'GOCHAT_CONFIG' || name.startsWith('GOCHAT_TEST_')) continue;
    if (name === NATIVE_VARIABLE) {
      if (value !== '0' && value !== '1') throw invalid(`${name}: expected 0 or 1`);
      continue;
    }
    if (isOfService(name, value)) {
      ofServices.push(name);
      continue;
    }
    const key = envKeys.get(name);
    if (key === undefined) throw invalid(`the environment variable ${name} is not a setting of GoChat`);
    take(key, value, name);
  }
  if (ofServices.length > 0)
    sources.warn?.(
      `ignored ${ofServices.join(', ')}: the platform describes a service of this name by them (Kubernetes: enableServiceLinks: false leaves them out)`,
    );
  for (const [key, value] of Object.entries(sources.flags)) {
    if (!Object.hasOwn(settings, key)) {
      const what = `${mode} has no flag --${flagName(key)}${ownersOf(key, modes)}.`;
      throw new GochatError('USAGE', { details: { what } });
    }
    take(key, value, `--${flagName(key)}`);
  }

  const parsed = z.strictObject(settings).safeParse(raw);
  if (!parsed.success) {
    const issue = parsed.error.issues[0] as z.core.$ZodIssue;
    const key = String(issue.path[0] ?? '');
    const place = origin[key] ?? `--${flagName(key)}`;
    const what = `${place}: ${raw[key] === undefined ? 'is needed and not given' : issue.message}`;
    throw place.startsWith('--') ? new GochatError('USAGE', { details: { what } }) : invalid(what);
  }
  return Object.freeze(parsed.data) as Config<S>;
}

/**
 * Returns whether a variable describes a service, as Kubernetes sets them in every container of the namespace:
 * NAME_SERVICE_HOST, NAME_SERVICE_PORT[_PORTNAME], NAME_PORT=tcp://… and NAME_PORT_8900_TCP[_PROTO|_PORT|_ADDR].
 * https://kubernetes.io/docs/concepts/services-networking/service/#environment-variables
 */
function isOfService(name: string, value = ''): boolean {
  if (/_SERVICE_(HOST|PORT(_\w+)?)$|_PORT_\d+_(TCP|UDP|SCTP)(_PROTO|_PORT|_ADDR)?$/.test(name)) return true;
  return name.endsWith('_PORT') && /^(tcp|udp|sctp):\/\//.test(value);
}

/** Names the modes that have a setting, for an error about one given to another mode. */
function ownersOf(key: string | undefined, modes: Readonly<Record<string, Settings>>): string {
  const owners = Object.keys(modes).filter((mode) => Object.hasOwn(modes[mode] ?? {}, key ?? ''));
  return owners.length === 0 ? '' : `; it is a setting of ${owners.join(' and ')}`;
}

function readConfigFile(path: string): Record<string, unknown> {
  let document: unknown;
  try {
    document = parseYaml(readFileSync(path, 'utf8')) ?? {};
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message.split('\n')[0] : String(cause);
    throw invalid(`cannot read the configuration file ${path}: ${reason}`, cause);
  }
  if (!isRecord(document)) throw invalid(`the configuration file ${path} is not a mapping of settings`);
  return document;
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function invalid(what: string, cause?: unknown): GochatError {
  return new GochatError('CONFIG_INVALID', { details: { what: `${what}.` }, cause });
}
