// mallocTrim(): makes glibc return free memory of its arenas to the system. With another libc it does nothing.
// scripts/build-native.sh compiles it; memory.ts calls it.
#include <node_api.h>
#include <stddef.h>
#ifdef __GLIBC__
#include <malloc.h>
#endif

static napi_value mallocTrim(napi_env env, napi_callback_info info) {
  (void)env;
  (void)info;
#ifdef __GLIBC__
  malloc_trim(0);
#endif
  return NULL;
}

NAPI_MODULE_INIT() {
  (void)exports;
  napi_value function;
  if (napi_create_function(env, "mallocTrim", NAPI_AUTO_LENGTH, mallocTrim, NULL, &function) != napi_ok) return NULL;
  return function;
}
