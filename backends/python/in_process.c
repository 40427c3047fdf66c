/* Triton's Python backend without processes of its own: models run in one interpreter inside the server.
 *
 * Stands in for libtriton_python.so, so that `backend: "python"` and Python-based backends load unchanged.
 * The official one starts a process for every instance and passes tensors through shared memory: two
 * changes of process for each request and step, and a server that goes on when such a process has died.
 *
 * Here is only what has to be C: requests and responses of the backend API become flat structures, which
 * in_process.py reads and writes with ctypes (triton_native.py has their twins). The few functions of Python are
 * of its stable ABI and are looked up at start, so that neither headers nor one certain Python are needed
 * to compile this.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "triton.h"

#define EXPORT __attribute__((visibility("default")))

/* PYTHON_LIBRARY: the soname of the interpreter's library. */

struct Tensor {
  const char *name;
  const int64_t *shape;
  const void *data;
  uint64_t byte_size;
  int32_t datatype;
  uint32_t dims_count;
};

struct Request {
  TRITONBACKEND_Request *request;
  TRITONBACKEND_ModelInstance *instance;
  const char *id;
  struct Tensor *inputs;
  const char **outputs;
  uint64_t started_ns;
  uint32_t input_count;
  uint32_t output_count;
};

struct Instance {
  const char *backend;
  const char *backend_folder;
  const char *model;
  const char *model_folder;
  const char *config;
  const char *name;
  uint64_t version;
  int32_t kind;
  int32_t device_id;
  char error[2048];
};

/* When work on a request went on, by CLOCK_MONOTONIC. What was before `started_ns` counts as waiting;
 * an end of 0 is now. */
struct Times {
  uint64_t started_ns;
  uint64_t compute_started_ns;
  uint64_t compute_ended_ns;
};

/* What in_process.py does; a handle is never 0. */
static struct {
  uint64_t (*preferred_instances)(const char *backend_folder);
  int64_t (*load)(struct Instance *instance);
  void (*execute)(int64_t handle, struct Request *requests, uint32_t count);
  void (*unload)(int64_t handle);
} host;

static struct {
  void (*initialize)(int install_signal_handlers);
  int (*run)(const char *code);
  void *(*save_thread)(void);
  int (*ensure_thread)(void);
} python;

#define TRY(call)                                \
  do {                                           \
    TRITONSERVER_Error *error_of_call = (call);  \
    if (error_of_call != NULL) {                 \
      return error_of_call;                      \
    }                                            \
  } while (false)

static void ignore(TRITONSERVER_Error *error) {
  if (error != NULL) {
    TRITONSERVER_ErrorDelete(error);
  }
}

static TRITONSERVER_Error *internal_error(const char *message) {
  return TRITONSERVER_ErrorNew(TRITONSERVER_ERROR_INTERNAL, message);
}

static uint64_t now_ns(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return (uint64_t)time.tv_sec * 1000000000U + (uint64_t)time.tv_nsec;
}

/* -- The interpreter ------------------------------------------------------------------------------- */

static TRITONSERVER_Error *find_python(void) {
  /* Extension modules look for Python's symbols among those that everything sees. */
  void *library = dlopen(PYTHON_LIBRARY, RTLD_NOW | RTLD_GLOBAL);
  if (library == NULL) {
    return internal_error(dlerror());
  }
  *(void **)&python.initialize = dlsym(library, "Py_InitializeEx");
  *(void **)&python.run = dlsym(library, "PyRun_SimpleString");
  *(void **)&python.save_thread = dlsym(library, "PyEval_SaveThread");
  *(void **)&python.ensure_thread = dlsym(library, "PyGILState_Ensure");
  if (python.initialize == NULL || python.run == NULL || python.save_thread == NULL ||
      python.ensure_thread == NULL) {
    return internal_error(PYTHON_LIBRARY " lacks a function of the stable ABI");
  }
  return NULL;
}

EXPORT void register_host(uint64_t (*preferred_instances)(const char *),
                          int64_t (*load)(struct Instance *),
                          void (*execute)(int64_t, struct Request *, uint32_t),
                          void (*unload)(int64_t)) {
  host.preferred_instances = preferred_instances;
  host.load = load;
  host.execute = execute;
  host.unload = unload;
}

static TRITONSERVER_Error *start_python(void) {
  Dl_info own;
  const char *name;
  char code[4096];
  int length;

  TRY(find_python());
  dladdr((void *)&register_host, &own);
  name = strrchr(own.dli_fname, '/');
  length = snprintf(code, sizeof code,
                    "import sys; sys.path.insert(0, r'''%.*s''')\n"
                    "import in_process; in_process.start(r'''%s''')\n",
                    (int)(name - own.dli_fname), own.dli_fname, own.dli_fname);
  if (length < 0 || (size_t)length >= sizeof code) {
    return internal_error("the path of the backend is too long");
  }
  python.initialize(0);
  if (python.run(code) != 0 || host.load == NULL) {
    return internal_error("in_process.py does not start, see above");
  }
  /* From here on, whoever calls Python takes its lock for the call. */
  python.save_thread();
  return NULL;
}

/* A thread of Triton's that has never been in Python gets what Python keeps for each thread once, and
 * not anew with every call. */
static void enter_thread(void) {
  static __thread bool known = false;
  if (!known) {
    known = true;
    python.ensure_thread();
    python.save_thread();
  }
}

/* -- Requests and responses ------------------------------------------------------------------------ */

/* An input may come in several buffers; models see one. What is made for that goes to `joined`. */
static TRITONSERVER_Error *join_buffers(TRITONBACKEND_Input *input, uint32_t count,
                                        struct Tensor *tensor, void **joined) {
  uint64_t filled = 0;
  char *target = NULL;
  for (uint32_t index = 0; index < count; index++) {
    const void *buffer;
    uint64_t byte_size;
    int memory_type = TRITONSERVER_MEMORY_CPU;
    int64_t memory_type_id = 0;
    TRY(TRITONBACKEND_InputBuffer(input, index, &buffer, &byte_size, &memory_type,
                                  &memory_type_id));
    if (memory_type != TRITONSERVER_MEMORY_CPU && memory_type != TRITONSERVER_MEMORY_CPU_PINNED) {
      return internal_error("inputs in the memory of a GPU are not supported");
    }
    if (count == 1) {
      tensor->data = buffer;
      tensor->byte_size = byte_size;
      return NULL;
    }
    if (target == NULL) {
      target = *joined = malloc(tensor->byte_size);
      if (target == NULL) {
        return internal_error("no memory for an input");
      }
      tensor->data = target;
    }
    if (byte_size > tensor->byte_size - filled) {
      return internal_error("an input is longer than it says");
    }
    memcpy(target + filled, buffer, byte_size);
    filled += byte_size;
  }
  tensor->byte_size = filled;
  return NULL;
}

/* What is allocated for a request while models look at it; joined[i] belongs to inputs[i]. */
struct Scratch {
  struct Tensor *inputs;
  const char **outputs;
  void **joined;
  uint32_t input_count;
};

static TRITONSERVER_Error *describe(TRITONBACKEND_Request *triton, struct Request *request,
                                    struct Scratch *scratch) {
  request->request = triton;
  TRY(TRITONBACKEND_RequestId(triton, &request->id));
  TRY(TRITONBACKEND_RequestInputCount(triton, &request->input_count));
  TRY(TRITONBACKEND_RequestOutputCount(triton, &request->output_count));
  scratch->input_count = request->input_count;
  scratch->inputs = calloc(request->input_count + 1U, sizeof *scratch->inputs);
  scratch->joined = calloc(request->input_count + 1U, sizeof *scratch->joined);
  scratch->outputs = calloc(request->output_count + 1U, sizeof *scratch->outputs);
  if (scratch->inputs == NULL || scratch->joined == NULL || scratch->outputs == NULL) {
    return internal_error("no memory for a request");
  }
  request->inputs = scratch->inputs;
  request->outputs = scratch->outputs;
  for (uint32_t index = 0; index < request->input_count; index++) {
    TRITONBACKEND_Input *input;
    struct Tensor *tensor = &request->inputs[index];
    uint32_t buffer_count;
    TRY(TRITONBACKEND_RequestInputByIndex(triton, index, &input));
    TRY(TRITONBACKEND_InputProperties(input, &tensor->name, &tensor->datatype, &tensor->shape,
                                      &tensor->dims_count, &tensor->byte_size, &buffer_count));
    TRY(join_buffers(input, buffer_count, tensor, &scratch->joined[index]));
  }
  for (uint32_t index = 0; index < request->output_count; index++) {
    TRY(TRITONBACKEND_RequestOutputName(triton, index, &request->outputs[index]));
  }
  return NULL;
}

static void free_scratch(struct Scratch *scratch) {
  for (uint32_t index = 0; scratch->joined != NULL && index < scratch->input_count; index++) {
    free(scratch->joined[index]);
  }
  free(scratch->joined);
  free(scratch->inputs);
  free(scratch->outputs);
}

static TRITONSERVER_Error *fill(TRITONBACKEND_Response *response, const struct Tensor *outputs,
                                uint32_t count) {
  for (uint32_t index = 0; index < count; index++) {
    const struct Tensor *tensor = &outputs[index];
    TRITONBACKEND_Output *output;
    void *buffer;
    int memory_type = TRITONSERVER_MEMORY_CPU;
    int64_t memory_type_id = 0;
    TRY(TRITONBACKEND_ResponseOutput(response, &output, tensor->name, tensor->datatype,
                                     tensor->shape, tensor->dims_count));
    TRY(TRITONBACKEND_OutputBuffer(output, &buffer, tensor->byte_size, &memory_type,
                                   &memory_type_id));
    if (memory_type != TRITONSERVER_MEMORY_CPU && memory_type != TRITONSERVER_MEMORY_CPU_PINNED) {
      return internal_error("outputs in the memory of a GPU are not supported");
    }
    if (tensor->byte_size > 0) {
      memcpy(buffer, tensor->data, tensor->byte_size);
    }
  }
  return NULL;
}

/* Answers a request once and for all and gives it back to the server.
 *
 * message: what went wrong, with its code of tritonserver.h, or NULL; then outputs are looked at. */
EXPORT void respond(TRITONBACKEND_Request *request, TRITONBACKEND_ModelInstance *instance,
                    const struct Times *times, const struct Tensor *outputs, uint32_t count,
                    const char *message, int code) {
  TRITONBACKEND_Response *response;
  TRITONSERVER_Error *error = message == NULL ? NULL : TRITONSERVER_ErrorNew(code, message);
  uint64_t called_ns = now_ns();
  uint64_t compute_ended_ns = times->compute_ended_ns ? times->compute_ended_ns : called_ns;
  TRITONSERVER_Error *lost = TRITONBACKEND_ResponseNew(&response, request);
  if (lost == NULL) {
    if (error == NULL) {
      error = fill(response, outputs, count);
    }
    ignore(TRITONBACKEND_ModelInstanceReportStatistics(
        instance, request, error == NULL, times->started_ns, times->compute_started_ns,
        compute_ended_ns, now_ns()));
    ignore(TRITONBACKEND_ResponseSend(response, TRITONSERVER_RESPONSE_COMPLETE_FINAL, error));
  }
  ignore(lost);
  ignore(error);
  ignore(TRITONBACKEND_RequestRelease(request, TRITONSERVER_REQUEST_RELEASE_ALL));
}

/* Counts one run of a model for Triton's statistics. */
EXPORT void report_run(TRITONBACKEND_ModelInstance *instance, uint64_t batch_size,
                       uint64_t started_ns, uint64_t ended_ns) {
  ignore(TRITONBACKEND_ModelInstanceReportBatchStatistics(instance, batch_size, started_ns,
                                                          started_ns, ended_ns, ended_ns));
}

EXPORT bool is_cancelled(TRITONBACKEND_Request *request) {
  bool cancelled = false;
  ignore(TRITONBACKEND_RequestIsCancelled(request, &cancelled));
  return cancelled;
}

EXPORT void log_message(int level, const char *message) {
  ignore(TRITONSERVER_LogMessage(level, "model.py", 0, message));
}

/* -- What the server calls ------------------------------------------------------------------------- */

EXPORT TRITONSERVER_Error *TRITONBACKEND_Initialize(TRITONBACKEND_Backend *backend) {
  (void)backend;
  /* Once for `python` and every Python-based backend. */
  return host.load == NULL ? start_python() : NULL;
}

/* How many instances a model gets whose configuration does not say. */
EXPORT TRITONSERVER_Error *TRITONBACKEND_GetBackendAttribute(
    TRITONBACKEND_Backend *backend, TRITONBACKEND_BackendAttribute *attributes) {
  const char *folder;
  int artifact_type;
  uint64_t count;
  TRY(TRITONBACKEND_BackendArtifacts(backend, &artifact_type, &folder));
  enter_thread();
  count = host.preferred_instances(folder);
  return TRITONBACKEND_BackendAttributeAddPreferredInstanceGroup(
      attributes, TRITONSERVER_INSTANCEGROUPKIND_CPU, count, NULL, 0);
}

EXPORT TRITONSERVER_Error *TRITONBACKEND_ModelInstanceInitialize(
    TRITONBACKEND_ModelInstance *triton) {
  struct Instance instance = {0};
  TRITONBACKEND_Model *model;
  TRITONBACKEND_Backend *backend;
  TRITONSERVER_Message *config;
  size_t config_size;
  int artifact_type;
  int64_t handle;

  TRY(TRITONBACKEND_ModelInstanceModel(triton, &model));
  TRY(TRITONBACKEND_ModelBackend(model, &backend));
  TRY(TRITONBACKEND_BackendName(backend, &instance.backend));
  TRY(TRITONBACKEND_BackendArtifacts(backend, &artifact_type, &instance.backend_folder));
  TRY(TRITONBACKEND_ModelName(model, &instance.model));
  TRY(TRITONBACKEND_ModelVersion(model, &instance.version));
  TRY(TRITONBACKEND_ModelRepository(model, &artifact_type, &instance.model_folder));
  TRY(TRITONBACKEND_ModelInstanceName(triton, &instance.name));
  TRY(TRITONBACKEND_ModelInstanceKind(triton, &instance.kind));
  TRY(TRITONBACKEND_ModelInstanceDeviceId(triton, &instance.device_id));
  TRY(TRITONBACKEND_ModelConfig(model, 1, &config));
  TRY(TRITONSERVER_MessageSerializeToJson(config, &instance.config, &config_size));
  enter_thread();
  handle = host.load(&instance);
  ignore(TRITONSERVER_MessageDelete(config));
  if (handle == 0) {
    return internal_error(instance.error);
  }
  return TRITONBACKEND_ModelInstanceSetState(triton, (void *)handle);
}

EXPORT TRITONSERVER_Error *TRITONBACKEND_ModelInstanceFinalize(
    TRITONBACKEND_ModelInstance *triton) {
  void *handle = NULL;
  TRY(TRITONBACKEND_ModelInstanceState(triton, &handle));
  if (handle != NULL) {
    enter_thread();
    host.unload((int64_t)handle);
  }
  return NULL;
}

EXPORT TRITONSERVER_Error *TRITONBACKEND_ModelInstanceExecute(TRITONBACKEND_ModelInstance *triton,
                                                              TRITONBACKEND_Request **requests,
                                                              uint32_t count) {
  void *handle = NULL;
  uint64_t started_ns = now_ns();
  uint32_t described = 0;
  struct Request *list = calloc(count + 1U, sizeof *list);
  struct Scratch *scratch = calloc(count + 1U, sizeof *scratch);

  if (list == NULL || scratch == NULL) {
    free(list);
    free(scratch);
    return internal_error("no memory for requests");
  }
  ignore(TRITONBACKEND_ModelInstanceState(triton, &handle));
  for (uint32_t index = 0; index < count; index++) {
    struct Request *request = &list[described];
    TRITONSERVER_Error *error;
    memset(request, 0, sizeof *request);
    request->instance = triton;
    request->started_ns = started_ns;
    error = describe(requests[index], request, &scratch[index]);
    if (error == NULL) {
      described++;
    } else {
      struct Times times = {started_ns, started_ns, 0};
      respond(requests[index], triton, &times, NULL, 0, TRITONSERVER_ErrorMessage(error),
              TRITONSERVER_ERROR_INTERNAL);
      TRITONSERVER_ErrorDelete(error);
    }
  }
  if (described > 0) {
    enter_thread();
    host.execute((int64_t)handle, list, described);
  }
  for (uint32_t index = 0; index < count; index++) {
    free_scratch(&scratch[index]);
  }
  free(scratch);
  free(list);
  /* The requests are the backend's now, whatever became of them. */
  return NULL;
}
