/**
 * Services of a compose file as processes, each in namespaces of its own: an address on a bridge, a root file system that is
 * this machine's with the volumes mounted, and Docker's names and DNS. The programs are this tree's and Debian's, in place of
 * those of the images. As root.
 */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { eventually } from '../harness/eventually.ts';
import { ROOT } from '../harness/gochat.ts';
import type { ComposeFile, Service } from './compose-file.ts';

const run = (program: string, ...args: string[]) =>
  execFileSync(program, args, { stdio: ['ignore', 'ignore', 'pipe'] });

/** Of the programs that stand for those of the images. */
const PATH = `${ROOT}/bin:${dirname(process.execPath)}:${process.env['PATH']}`;

export interface Container {
  readonly service: string;
  readonly address: string;
  readonly process: ChildProcess;
  /** What it has printed. */
  readonly output: () => string;
}

/** What the image's entry point does before the command. */
const ENTRY: Readonly<Record<string, string>> = {
  postgres: `
    export PATH=$(echo /usr/lib/postgresql/*/bin):$PATH PGDATA=/var/lib/postgresql/data
    chown postgres $PGDATA; chmod 700 $PGDATA
    mkdir -p /run/postgresql; chown postgres /run/postgresql
    [ -s $PGDATA/PG_VERSION ] || {
      setpriv --reuid=postgres --regid=postgres --clear-groups initdb -U $POSTGRES_USER --pwfile=$POSTGRES_PASSWORD_FILE \\
        $POSTGRES_INITDB_ARGS >/dev/null
      echo 'host all all all scram-sha-256' >> $PGDATA/pg_hba.conf
      setpriv --reuid=postgres --regid=postgres --clear-groups postgres --single postgres <<< "create database $POSTGRES_DB" >/dev/null
    }
    set -- "$@" -c listen_addresses='*' -c unix_socket_directories=/run/postgresql -c fsync=off
    exec setpriv --reuid=postgres --regid=postgres --clear-groups "$@"`,
  site: `
    node ${ROOT}/test/deploy/dns.ts /etc/hosts &
    until ss -lun | grep -q 127.0.0.11:53; do sleep 0.05; done
    exec "$@"`,
};

export class Containers implements AsyncDisposable {
  readonly #file: ComposeFile;
  readonly #folder: string;
  readonly #bridge = `gc${process.pid % 100_000}`;
  readonly #network: string;
  readonly #all: Container[] = [];
  /** Addresses that services will have. */
  readonly #reserved = new Map<string, string>();
  #last = 9;

  constructor(file: ComposeFile, folder: string) {
    this.#file = file;
    this.#folder = folder;
    this.#network = file.subnet.replace(/\.0\.0\/16$/, '');
    run('ip', 'link', 'add', this.#bridge, 'type', 'bridge');
    run('ip', 'address', 'add', `${this.#network}.0.1/16`, 'dev', this.#bridge);
    run('ip', 'link', 'set', this.#bridge, 'up');
    for (const volume of file.volumes) mkdirSync(join(folder, 'volumes', volume), { recursive: true });
    this.#writeHosts();
  }

  /** Gives the first container of a service an address, from .2 to .9. */
  reserve(service: string, address: string): void {
    this.#reserved.set(service, address);
  }

  of(service: string): Container[] {
    return this.#all.filter(
      (each) =>
        each.service === service && each.process.exitCode === null && each.process.signalCode === null,
    );
  }

  /** Starts all services in the order of what they depend on. */
  async up(): Promise<void> {
    const begun = new Map<string, Promise<void>>();
    const begin = (name: string): Promise<void> => {
      const known = begun.get(name);
      if (known !== undefined) return known;
      const { dependsOn } = this.#file.services[name] as Service;
      const ready = Promise.all(Object.keys(dependsOn).map(begin)).then(() => this.start(name));
      begun.set(
        name,
        ready.then(() => undefined),
      );
      return begun.get(name) as Promise<void>;
    };
    await Promise.all(Object.keys(this.#file.services).map(begin));
  }

  /** Starts one more container of a service; resolves when it is healthy, or has ended if it is one that ends. */
  async start(name: string, environment: Readonly<Record<string, string>> = {}): Promise<Container> {
    const service = this.#file.services[name] as Service;
    const number = ++this.#last;
    const space = `${this.#bridge}-${number}`;
    const address = this.#reserved.get(name) ?? `${this.#network}.0.${number}`;
    this.#reserved.delete(name);
    run('ip', 'netns', 'add', space);
    run(
      'ip',
      'link',
      'add',
      `${this.#bridge}v${number}`,
      'type',
      'veth',
      'peer',
      'name',
      'eth0',
      'netns',
      space,
    );
    run('ip', 'link', 'set', `${this.#bridge}v${number}`, 'master', this.#bridge, 'up');
    run('ip', '-n', space, 'address', 'add', `${address}/16`, 'dev', 'eth0');
    run('ip', '-n', space, 'link', 'set', 'eth0', 'up');
    run('ip', '-n', space, 'link', 'set', 'lo', 'up');
    const child = spawn(
      'ip',
      [
        'netns',
        'exec',
        space,
        'unshare',
        '--mount',
        'bash',
        '-c',
        this.#script(name, service, number),
        name,
        ...service.command,
      ],
      {
        env: {
          PATH,
          ...service.environment,
          ...environment,
        },
        stdio: ['ignore', 'pipe', 'pipe'],
      },
    );
    let output = '';
    for (const stream of [child.stdout, child.stderr])
      stream.on('data', (chunk: Buffer) => {
        output = (output + chunk.toString()).slice(-100_000);
      });
    const container = { service: name, address, process: child, output: () => output };
    this.#all.push(container);
    this.#writeHosts();
    if (service.restart === 'no') {
      await once(child, 'exit');
      if (child.exitCode !== 0) throw new Error(`${name} has ended with ${child.exitCode}: ${output}`);
    } else {
      await eventually(`${name} to be healthy`, () => this.#isHealthy(container, service), 90_000).catch(
        (error: unknown) => {
          const printed = this.#all.map((each) => `--- ${each.service}:\n${each.output().slice(-2000)}`);
          throw new Error(`${name} is not healthy; they printed:\n${printed.join('\n')}`, { cause: error });
        },
      );
    }
    return container;
  }

  /** As `docker compose exec`: runs a command in the first container of a service; returns what it prints. */
  async exec(service: string, command: readonly string[]): Promise<string> {
    const [container] = this.of(service);
    if (container === undefined) throw new Error(`no ${service} runs`);
    const { code, output } = await this.#enter(container, command);
    if (code !== 0) throw new Error(`${command.join(' ')} has ended with ${code}: ${output}`);
    return output;
  }

  /** Ends a container as a machine that fails. */
  async kill(container: Container): Promise<void> {
    this.#kill(container);
    if (container.process.exitCode === null && container.process.signalCode === null)
      await once(container.process, 'exit');
    this.#writeHosts();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#all.toReversed().map((container) => this.kill(container)));
    for (let number = 10; number <= this.#last; number++)
      run('ip', 'netns', 'delete', `${this.#bridge}-${number}`);
    run('ip', 'link', 'delete', this.#bridge);
    rmSync(this.#folder, { recursive: true, force: true });
  }

  /** Mounts what the container sees, and executes the command there. */
  #script(name: string, service: Service, number: number): string {
    const root = join(this.#folder, 'roots', String(number));
    mkdirSync(root, { recursive: true });
    const mounts = service.volumes.map((volume) => {
      const [from = '', to = ''] = volume.split(':');
      const source = from.startsWith('.') ? join(ROOT, from) : join(this.#folder, 'volumes', from);
      return { source, to };
    });
    const bind = [
      ...['/dev', '/proc', '/sys', '/tmp', ROOT, this.#folder].map((each) => ({ source: each, to: each })),
      ...mounts,
      { source: join(this.#folder, 'hosts'), to: '/etc/hosts' },
    ];
    return `
      set -e
      mount --make-rprivate /
      mount -t tmpfs tmpfs ${root}
      mkdir ${root}/upper ${root}/work ${root}/all
      mount -t overlay overlay -o lowerdir=/,upperdir=${root}/upper,workdir=${root}/work ${root}/all
      ${bind.map(({ source, to }) => `if [ -d ${source} ]; then mkdir -p ${root}/all${to}; else mkdir -p $(dirname ${root}/all${to}); [ -e ${root}/all${to} ] || touch ${root}/all${to}; fi; mount --rbind ${source} ${root}/all${to}`).join('\n')}
      cat > ${root}/all/entry <<'ENTRY'
      ${ENTRY[name] ?? 'exec "$@"'}
ENTRY
      cd /
      exec chroot ${root}/all bash /entry "$@"`;
  }

  async #isHealthy(container: Container, service: Service): Promise<boolean> {
    const { exitCode, signalCode } = container.process;
    if (exitCode !== null || signalCode !== null) throw new Error('it has ended');
    const [how, ...rest] = service.healthcheck ?? ['CMD', 'bash', join(ROOT, 'deployments/image/health.sh')];
    return (await this.#enter(container, how === 'CMD-SHELL' ? ['sh', '-c', ...rest] : rest)).code === 0;
  }

  /** Runs a command in a container. */
  async #enter({ process: child, service }: Container, command: readonly string[]) {
    const { environment } = this.#file.services[service] as Service;
    const spaces = ['--target', String(child.pid), '--mount', '--net', '--root', '--wd'];
    const entered = spawn('nsenter', [...spaces, ...command], {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { PATH, ...environment },
    });
    let output = '';
    for (const stream of [entered.stdout, entered.stderr])
      stream.on('data', (chunk: Buffer) => (output += chunk.toString()));
    const [code] = (await once(entered, 'close')) as [number | null];
    return { code, output };
  }

  #kill({ process: { pid, exitCode, signalCode } }: Container): void {
    if (pid === undefined || exitCode !== null || signalCode !== null) return;
    const children = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').split(' ').filter(Boolean);
    for (const each of [...children.map(Number), pid])
      try {
        process.kill(each, 'SIGKILL');
      } catch {
        // It has ended meanwhile.
      }
  }

  #writeHosts(): void {
    const lines = this.#all
      .filter(({ process: { exitCode, signalCode } }) => exitCode === null && signalCode === null)
      .map(({ service, address }) => `${address} ${service}\n`);
    writeFileSync(join(this.#folder, 'hosts'), ['127.0.0.1 localhost\n', ...lines].join(''));
  }
}
