/** Builds the image by buildah, and runs its programs as a container would: own root, read-only, as its user, as PID 1. */
import { execFileSync } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Gochat, ROOT } from '../harness/gochat.ts';
import { install } from './install.ts';

/** Layers of one run are there for the next. */
const CACHE = join(ROOT, 'node_modules/.cache/image');
const NAME = 'gochat:latest';
const MAX_OUTPUT_BYTES = 64 * 1024 * 1024;

/** Mounts what a container has beside its image, and becomes the program. */
const ENTER = `set -eu
root=$1 data=$2 user=$3 workdir=$4
shift 4
mount --bind "$root" "$root"
mount -t proc proc "$root/proc"
mount -t tmpfs tmpfs "$root/tmp"
mount --rbind /dev "$root/dev"
if [ -n "$data" ]; then mount --bind "$data" "$root$workdir"; fi
mount -o remount,bind,ro "$root"
ip link set lo up
exec chroot "$root" setpriv --reuid "\${user%:*}" --regid "\${user#*:}" --clear-groups --bounding-set=-all \\
  --no-new-privs --pdeathsig KILL env -i -C "$workdir" "$@"`;

/** The configuration of an image, as Docker shows it. */
export interface ImageConfig {
  readonly User: string;
  readonly Env: readonly string[];
  readonly Cmd: readonly string[];
  readonly WorkingDir: string;
  readonly Healthcheck: { readonly Test: readonly string[] };
}

export interface ContainerOptions {
  readonly env?: Readonly<Record<string, string>>;
  /** A folder of this machine to mount over the working directory. @default none: it is read-only */
  readonly data?: string;
  /** Its network: this machine's, one of its own, or that of the container given. @default 'host' */
  readonly network?: 'host' | 'own' | Container;
}

export class Image implements Disposable {
  readonly config: ImageConfig;
  /** Its files. */
  readonly root: string;
  /** Bytes that it adds to its base. */
  readonly bytes: number;
  readonly #container: string;

  /** Builds the image and mounts it. */
  constructor() {
    install('buildah', 'iproute2');
    // No Docker: what is tested is built here.
    const env = { ...environment(), DOCKER_HOST: 'unix:///nowhere' };
    run(join(ROOT, 'test/deploy/base-images.sh'), [], env);
    run(join(ROOT, 'scripts/build-image.sh'), [NAME], env);
    this.#container = buildah('from', '--pull-never', NAME);
    this.root = buildah('mount', this.#container);
    const { Docker } = JSON.parse(buildah('inspect', '--type', 'image', NAME)) as {
      Docker: { config: ImageConfig };
    };
    this.config = Docker.config;
    const base = buildah('from', '--pull-never', 'debian:bookworm-slim');
    this.bytes = bytesIn(this.root) - bytesIn(buildah('mount', base));
    buildah('rm', base);
  }

  /** Starts a command in a container; without one, that of the image. */
  start(command: readonly string[] = this.config.Cmd, options: ContainerOptions = {}): Container {
    return new Container(this, command, options);
  }

  [Symbol.dispose](): void {
    buildah('rm', this.#container);
  }
}

/** A process of the image; it is PID 1 of its own PID namespace. */
export class Container extends Gochat {
  constructor(image: Image, command: readonly string[], options: ContainerOptions) {
    const { env = {}, data = '', network = 'host' } = options;
    const { User, WorkingDir, Env } = image.config;
    const enterNetwork = network instanceof Container ? ['nsenter', `--net=/proc/${network.pid}/ns/net`] : [];
    const isolate = ['unshare', '--mount', '--pid', '--fork', '--kill-child'];
    if (network === 'own') isolate.push('--net');
    const enter = ['sh', '-c', ENTER, 'sh', image.root, data, User, WorkingDir, ...Env];
    const variables = Object.entries(env).map(([name, value]) => `${name}=${value}`);
    const program = [...enterNetwork, ...isolate, ...enter, ...variables];
    super(command, {}, { program });
  }

  /** PID of the program itself, as this machine sees it. */
  get pid(): number {
    const own = this.child.pid as number;
    return Number(readFileSync(`/proc/${own}/task/${own}/children`, 'utf8').trim());
  }

  override signal(name: NodeJS.Signals): void {
    process.kill(this.pid, name);
  }
}

function environment(): NodeJS.ProcessEnv {
  mkdirSync(CACHE, { recursive: true });
  const storage = join(CACHE, 'storage.conf');
  const registries = join(CACHE, 'registries.conf');
  writeFileSync(
    storage,
    `[storage]\ndriver = "overlay"\ngraphroot = "${join(CACHE, 'store')}"\nrunroot = "${join(CACHE, 'run')}"\n`,
  );
  writeFileSync(registries, 'unqualified-search-registries = ["docker.io"]\n');
  return {
    ...process.env,
    BUILDAH_ISOLATION: 'chroot',
    CONTAINERS_STORAGE_CONF: storage,
    CONTAINERS_REGISTRIES_CONF: registries,
  };
}

/** Runs a program; the error of one that fails has its output. */
function run(program: string, args: readonly string[], env: NodeJS.ProcessEnv): string {
  return execFileSync(program, args, { env, stdio: 'pipe', maxBuffer: MAX_OUTPUT_BYTES }).toString().trim();
}

function buildah(...args: readonly string[]): string {
  return run('buildah', args, environment());
}

function bytesIn(folder: string): number {
  return Number(execFileSync('du', ['-s', '--block-size=1', folder]).toString().split('\t')[0]);
}
