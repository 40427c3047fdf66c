#!/usr/bin/env bash
# Copies what a text classifier needs out of NVIDIA's image, in which this runs, into a folder that is
# laid over a small image of the same distribution.
# Usage: collect.sh TARGET [openvino] [cuda] [tensorrt], TARGET an absolute path
set -Eeuo pipefail

readonly SERVER=/opt/tritonserver
readonly BACKEND="$SERVER/backends/onnxruntime"

# Files of the backend that only one provider needs, by find -name. What something else is linked to
# comes back with the libraries.
readonly -A PROVIDER_FILES=(
  ['openvino']='libonnxruntime_providers_openvino.so* libopenvino* libtbb*'
  ['cuda']='libonnxruntime_providers_cuda.so*'
  ['tensorrt']='libonnxruntime_providers_tensorrt.so*'
)

# Libraries that are opened by name, which ldd does not see: those that must be there, and those that
# are taken if they are. cuDNN and TensorRT open their own parts, NVRTC its built-in functions, DCGM
# (metrics of GPUs) its modules.
readonly -A OPENED=(
  ['cuda']='libcudnn.so.[0-9]*'
  ['tensorrt']='libnvinfer.so.[0-9]* libnvonnxparser.so.[0-9]* libnvinfer_builder_resource*.so.[0-9]*'
)
readonly -A OPENED_IF_THERE=(
  ['cuda']='libcudnn_*.so.[0-9]* libcufft.so.[0-9]* libnvrtc.so.[0-9]* libnvrtc-builtins.so.[0-9]*
    libnvJitLink.so.[0-9]* libdcgm*.so.[0-9]*'
  ['tensorrt']='libnvinfer_plugin.so.[0-9]*'
)

# The C library is the small image's.
readonly C_LIBRARY='^(ld-linux-.*|lib(c|m|mvec|dl|rt|pthread|resolv|util|anl|BrokenLocale|thread_db|nss_[a-z]+))\.so\.[0-9]+$|^libnsl\.so\.1$'

# The driver is the host's, mounted into the container. NVIDIA's image has one too, for older hosts,
# which would take the place of the host's.
readonly DRIVER='^lib(cuda|cudadebugger|nvidia-[a-z0-9-]+|nvcuvid|nvoptix)\.so(\.|$)'

fail() {
  printf 'error: %s: %s (%s)\n' "$1" "$2" "$3" >&2
  exit 1
}

# Copies to the same place under TARGET.
take() {
  local path
  for path in "$@"; do
    [[ -e "$path" ]] || fail "$path" 'is not in this image' 'is it one of nvcr.io/nvidia/tritonserver?'
    cp --archive --parents -- "$path" "$TARGET"
  done
}

take_server() {
  take "$SERVER"/{LICENSE,TRITON_VERSION,bin/tritonserver,lib,backends/python} "$BACKEND"
  local file provider names name
  for file in "$SERVER"/*.pdf /NGC-DL-CONTAINER-LICENSE; do
    [[ ! -e "$file" ]] || take "$file"
  done
  rm -f -- "$TARGET$BACKEND"/{onnxruntime_perf_test,onnx_test_runner}
  for provider in "${!PROVIDER_FILES[@]}"; do
    [[ " ${PROVIDERS[*]} " != *" $provider "* ]] || continue
    read -ra names <<<"${PROVIDER_FILES[$provider]}"
    for name in "${names[@]}"; do
      find "$TARGET$BACKEND" -name "$name" -delete
    done
  done
}

# The interpreter, its standard library and numpy; the folder of TensorRT's engines; where the
# packages of this project are.
take_python() {
  local command library numpy site
  command="$(command -v python3)" || fail python3 'is not in this image' 'another release?'
  library="$(python3 -c 'import sysconfig; print(sysconfig.get_path("stdlib"))')"
  site="$(python3 -c 'import site; print(site.getsitepackages()[0])')"
  numpy="$(python3 -c 'import os, numpy; print(os.path.dirname(numpy.__file__))')" ||
    fail numpy 'is not in this image' 'another release?'
  PYTHON="$(readlink -f "$command")"
  take "$PYTHON" "$library" "$numpy"
  [[ "$command" == "$PYTHON" ]] || ln -s "$PYTHON" "$TARGET$command"
  [[ ! -e "$numpy.libs" ]] || take "$numpy.libs"
  take "$numpy"-*-info
  rm -rf -- "$TARGET$library"/{test,idlelib,tkinter,turtledemo,ensurepip,lib2to3,config-*} \
    "$TARGET$library"/lib-dynload/{_test,_ctypes_test,_xxtestfuzz,_tkinter,_gdbm,_dbm,_curses,readline}* \
    "$TARGET$numpy"/{f2py,tests,*/tests}
  mkdir -p "$TARGET$site"
  printf '%s\n' "$SERVER/packages" >"$TARGET$site/triton_image.pth"
  mkdir -m 1777 "$TARGET/engines"
}

# Prints the folders in which the loader looks.
loader_folders() {
  {
    tr ':' '\n' <<<"$LD_LIBRARY_PATH"
    ldconfig -p | sed -n 's,.* => \(/.*\)/[^/]*$,\1,p'
  } | awk 'NF && !seen[$0]++'
}

# Prints the files that match a name in the loader's folders.
named() {
  local folder
  loader_folders | while IFS= read -r folder; do
    # A link to a folder too
    find "$folder/" -maxdepth 1 -name "$1" 2>/dev/null || true
  done
}

# Puts a library into the server's own folder of libraries, where everything finds it.
put_library() {
  local path="$1" name="$2" real folder="$TARGET$SERVER/lib"
  real="$(readlink -f "$path")"
  if [[ -e "$folder/${real##*/}" ]]; then
    cmp -s "$real" "$folder/${real##*/}" ||
      printf 'warning: %s: another of that name is taken\n' "$real" >&2
  else
    cp --archive -- "$real" "$folder/"
    LIBRARIES+=("$real")
  fi
  [[ "$name" == "${real##*/}" ]] || ln -sfn "${real##*/}" "$folder/$name"
}

take_opened() {
  local provider name path found names=()
  for provider in "${PROVIDERS[@]}"; do
    read -ra names <<<"${OPENED[$provider]-}"
    for name in "${names[@]}"; do
      [[ -n "$(named "$name")" ]] ||
        fail "$name" 'is in no folder of libraries' "for $provider; another release?"
    done
    read -d '' -ra found <<<"${OPENED[$provider]-} ${OPENED_IF_THERE[$provider]-}" || true
    for name in "${found[@]}"; do
      while IFS= read -r path; do
        put_library "$path" "${path##*/}"
        OPENED_FILES+=("$path")
      done < <(named "$name")
    done
  done
}

# Prints the ELF files of TARGET, by where they lie in this image.
elf_files() {
  local file magic
  while IFS= read -r -d '' file; do
    IFS= LC_ALL=C read -r -N 4 magic <"$file" || continue
    [[ "$magic" != $'\x7fELF' ]] || printf '%s\n' "${file#"$TARGET"}"
  done < <(find "$TARGET" -path "$TARGET$SERVER/lib" -prune -o \
    -type f \( -name '*.so' -o -name '*.so.*' -o -perm /111 \) -print0)
  find "$SERVER/lib" -name '*.so*' -type f
}

# Prints what a file is linked to, and what that is linked to: NAME PATH, PATH empty if not found.
linked() {
  # A file for another system says nothing.
  { ldd "$1" 2>/dev/null || true; } | awk '
    $2 == "=>" { print $1 "\t" ($3 == "not" ? "" : $3) }
    $1 ~ /^\// { count = split($1, parts, "/"); print parts[count] "\t" $1 }
  '
}

take_libraries() {
  local file name path missing=()
  local -A seen=()
  while IFS= read -r file; do
    while IFS=$'\t' read -r name path; do
      [[ ! "$name" =~ $C_LIBRARY && ! "$name" =~ $DRIVER ]] || continue
      [[ -z "${seen["$name $path"]-}" ]] || continue
      seen["$name $path"]=1
      if [[ -z "$path" ]]; then
        # A neighbour may be found by the RPATH of who loads both, as in the folders of wheels.
        [[ -n "$(find "$TARGET" -name "$name" -print -quit)" ]] ||
          missing+=("$name, which $file needs")
      elif [[ -e "$TARGET$path" ]]; then
        continue
      elif [[ "$path" == "$SERVER"/* ]]; then
        take "$path" "$(readlink -f "$path")"
      else
        put_library "$path" "$name"
      fi
    done < <(linked "$file")
  done < <(
    elf_files
    [[ ${#OPENED_FILES[@]} -eq 0 ]] || printf '%s\n' "${OPENED_FILES[@]}"
  )
  [[ ${#missing[@]} -eq 0 ]] ||
    fail "${missing[0]}" 'is not found' "not in this image; ${#missing[@]} such"
}

# Of the packages that interpreter and libraries come from; NVIDIA's are among them.
take_licences() {
  local path package
  { dpkg-query --search "$PYTHON" "${LIBRARIES[@]}" "${LIBRARIES[@]#/usr}" 2>/dev/null || true; } |
    sed -n 's,^\([^:, ]*\).*: /.*,\1,p' | sort -u | while IFS= read -r package; do
    path="/usr/share/doc/$package/copyright"
    [[ ! -e "$path" ]] || cp --dereference --parents -- "$path" "$TARGET"
  done
}

main() {
  [[ $# -ge 1 ]] || fail collect.sh 'takes TARGET' 'and providers of ONNX Runtime'
  TARGET="$1"
  shift
  PROVIDERS=("$@") LIBRARIES=() OPENED_FILES=()
  local provider
  for provider in "$@"; do
    [[ -n "${PROVIDER_FILES["$provider"]-}" ]] ||
      fail "$provider" 'is no provider' 'openvino, cuda or tensorrt'
  done
  # As the server is started
  export LD_LIBRARY_PATH="$SERVER/lib${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}"
  mkdir -p -- "$TARGET"
  # cp --parents of coreutils 9.1 looks for parents below the working directory.
  cd /
  take_server
  take_python
  take_opened
  take_libraries
  take_licences
  chown -R 0:0 -- "$TARGET"
  chmod -R a+rX,go-w -- "$TARGET"
  chmod 1777 "$TARGET/engines"
  du -sh -- "$TARGET"
}

main "$@"
