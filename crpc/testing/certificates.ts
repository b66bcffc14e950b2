/** Real certificates for tests, made by openssl in a temporary folder. */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export interface Certificate {
  readonly cert: Buffer;
  readonly key: Buffer;
}

/** A test's own certificate authority. */
export class Authority implements Disposable {
  readonly dir: string = mkdtempSync(join(tmpdir(), 'gochat-tls-'));

  constructor() {
    this.#openssl(
      'req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout ca.key -out ca.pem -subj /CN=ca',
    );
  }

  get ca(): Buffer {
    return this.read('ca.pem');
  }

  /** Path of a file that `issue` wrote: NAME.pem, NAME.key, or ca.pem. */
  path(name: string): string {
    return join(this.dir, name);
  }

  /** Makes a key and a certificate for it with this common name and these alternative names, such as DNS:a.test. */
  issue(name: string, ...alternatives: string[]): Certificate {
    this.#openssl(
      `req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout ${name}.key -out ${name}.csr -subj /CN=${name}`,
    );
    const sign = `x509 -req -in ${name}.csr -CA ca.pem -CAkey ca.key -CAcreateserial -out ${name}.pem -days 1`;
    const lines = alternatives.map((one, i) => one.replace(':', `.${i}=`));
    writeFileSync(
      this.path('ext'),
      lines.length === 0 ? '' : ['subjectAltName=@names', '[names]', ...lines, ''].join('\n'),
    );
    this.#openssl(`${sign} -extfile ext`);
    return { cert: this.read(`${name}.pem`), key: this.read(`${name}.key`) };
  }

  [Symbol.dispose](): void {
    rmSync(this.dir, { recursive: true });
  }

  #openssl(args: string): void {
    execFileSync('openssl', args.split(' '), { cwd: this.dir, stdio: 'ignore' });
  }

  /** Contents of a file that `issue` wrote. */
  read(name: string): Buffer {
    return readFileSync(this.path(name));
  }
}
