/** The operator routes of the signing keys: `gochat ctl keys`. */
import { GochatError, json, type OperatorRoutes } from '../../common/mod.ts';
import type { KeyInfo, SigningKeys } from '../identity/signing-keys.ts';

/** @param find returns the keys once the server has started */
export function keyRoutes(find: () => SigningKeys | undefined): OperatorRoutes {
  const keys = (): SigningKeys => {
    const found = find();
    if (found === undefined) throw new GochatError('STATE_UNAVAILABLE');
    return found;
  };
  return {
    'GET /keys': (_request, response) => json(response, 200, present(keys().list())),
    'POST /keys': async (_request, response) => json(response, 200, present(await keys().rotate())),
  };
}

function present(keys: readonly KeyInfo[]) {
  return {
    keys: keys.map(({ kid, state, signsFromMs }) => ({
      kid,
      state,
      signs_from: signsFromMs === 0 ? null : new Date(signsFromMs).toISOString(),
    })),
  };
}
