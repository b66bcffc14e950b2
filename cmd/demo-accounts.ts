/** The accounts that people try GoChat with. */
export const DEMO_USERS = ['demo', 'test', 'admin'];
export const DEMO_PASSWORD = '111111';
export const DEMO_ACCOUNTS = DEMO_USERS.map((name) => ({
  name,
  password: DEMO_PASSWORD,
  isAdmin: name === 'admin',
}));
