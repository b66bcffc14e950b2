// The same bytes to many sockets in one call from JavaScript; write-many.ts is its only caller.
//
// writeMany(descriptors: Int32Array, count: number, bytes: Uint8Array, taken: Int32Array): void
// sets `taken` to the number of bytes that each socket accepted, or to a negative errno if it failed.
#include <errno.h>
#include <node_api.h>
#include <stdbool.h>
#include <sys/socket.h>

#ifndef MSG_NOSIGNAL
#define MSG_NOSIGNAL 0 // Node ignores SIGPIPE.
#endif

static bool isArray(napi_env env, napi_value value, napi_typedarray_type type, size_t *length, void **data) {
  napi_typedarray_type found;
  return napi_get_typedarray_info(env, value, &found, length, data, NULL, NULL) == napi_ok && found == type;
}

static napi_value writeMany(napi_env env, napi_callback_info info) {
  napi_value args[4];
  size_t given = 4, sockets, size, places;
  uint32_t count;
  void *descriptors, *bytes, *taken;
  if (napi_get_cb_info(env, info, &given, args, NULL, NULL) != napi_ok || given != 4 ||
      !isArray(env, args[0], napi_int32_array, &sockets, &descriptors) ||
      napi_get_value_uint32(env, args[1], &count) != napi_ok ||
      !isArray(env, args[2], napi_uint8_array, &size, &bytes) ||
      !isArray(env, args[3], napi_int32_array, &places, &taken) || count > sockets || count > places ||
      size > INT32_MAX) {
    napi_throw_type_error(env, NULL, "writeMany(descriptors, count, bytes, taken): not that");
    return NULL;
  }
  for (uint32_t i = 0; i < count; i++) {
    ssize_t wrote = send(((int32_t *)descriptors)[i], bytes, size, MSG_DONTWAIT | MSG_NOSIGNAL);
    bool isGone = wrote < 0 && (errno == EPIPE || errno == ECONNRESET);
    ((int32_t *)taken)[i] = wrote >= 0 ? (int32_t)wrote : isGone ? -errno : 0;
  }
  return NULL;
}

// Once for each worker thread.
NAPI_MODULE_INIT() {
  (void)exports;
  napi_value function;
  if (napi_create_function(env, "writeMany", NAPI_AUTO_LENGTH, writeMany, NULL, &function) != napi_ok) return NULL;
  return function;
}
