/** Starts the shared engines before all tests; a developer's own GOCHAT_TEST_* URLs are used instead. */
import { SERVICE_NAMES, type ServiceName, startServices } from './services.ts';

const variable = (name: ServiceName) => `GOCHAT_TEST_${name.toUpperCase()}`;

/** Sets GOCHAT_TEST_ETCD, GOCHAT_TEST_REDIS and GOCHAT_TEST_POSTGRES. Returns a function that ends the engines. */
export async function setup(): Promise<(() => Promise<void>) | undefined> {
  const only = SERVICE_NAMES.filter((name) => !process.env[variable(name)]);
  if (only.length === 0) return undefined;
  const services = await startServices({ only });
  for (const name of only) process.env[variable(name)] = services.urls[name];
  return async () => {
    for (const name of only) delete process.env[variable(name)];
    await services[Symbol.asyncDispose]();
  };
}
