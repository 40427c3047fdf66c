"""Twins of the structures and functions of in_process.c, for ctypes."""

import ctypes
from typing import Any

MAX_ERROR_BYTES = 2048


class CTensor(ctypes.Structure):
    """`struct Tensor`: an input as the server has it, or an output that is handed to it."""

    _fields_ = (
        ("name", ctypes.c_char_p),
        ("shape", ctypes.POINTER(ctypes.c_int64)),
        ("data", ctypes.c_void_p),
        ("byte_size", ctypes.c_uint64),
        ("datatype", ctypes.c_int32),
        ("dims_count", ctypes.c_uint32),
    )


class CRequest(ctypes.Structure):
    """`struct Request`; valid during `execute`, `request` and `instance` until the response."""

    _fields_ = (
        ("request", ctypes.c_void_p),
        ("instance", ctypes.c_void_p),
        ("id", ctypes.c_char_p),
        ("inputs", ctypes.POINTER(CTensor)),
        ("outputs", ctypes.POINTER(ctypes.c_char_p)),
        ("started_ns", ctypes.c_uint64),
        ("input_count", ctypes.c_uint32),
        ("output_count", ctypes.c_uint32),
    )


class CInstance(ctypes.Structure):
    """`struct Instance`; valid during `load`, which writes `error`."""

    _fields_ = (
        ("backend", ctypes.c_char_p),
        ("backend_folder", ctypes.c_char_p),
        ("model", ctypes.c_char_p),
        ("model_folder", ctypes.c_char_p),
        ("config", ctypes.c_char_p),
        ("name", ctypes.c_char_p),
        ("version", ctypes.c_uint64),
        ("kind", ctypes.c_int32),
        ("device_id", ctypes.c_int32),
        ("error", ctypes.c_char * MAX_ERROR_BYTES),
    )


class CTimes(ctypes.Structure):
    """`struct Times`: when work on a request went on, by the monotonic clock."""

    _fields_ = (
        ("started_ns", ctypes.c_uint64),
        ("compute_started_ns", ctypes.c_uint64),
        ("compute_ended_ns", ctypes.c_uint64),
    )


# A callback takes Python's lock and gives it back.
PREFERRED_INSTANCES = ctypes.CFUNCTYPE(ctypes.c_uint64, ctypes.c_char_p)
LOAD = ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.POINTER(CInstance))
EXECUTE = ctypes.CFUNCTYPE(None, ctypes.c_int64, ctypes.POINTER(CRequest), ctypes.c_uint32)
UNLOAD = ctypes.CFUNCTYPE(None, ctypes.c_int64)


class Native:
    """The functions of the shared library, once `open` has named it."""

    respond: Any
    report_run: Any
    is_cancelled: Any
    log_message: Any

    def open(self, path: str) -> ctypes.CDLL:
        """Declare what the library has. Calls of a CDLL let other threads run in Python."""
        library = ctypes.CDLL(path)
        self.respond = library.respond
        self.respond.argtypes = [
            ctypes.c_void_p,
            ctypes.c_void_p,
            ctypes.POINTER(CTimes),
            ctypes.c_void_p,
            ctypes.c_uint32,
            ctypes.c_char_p,
            ctypes.c_int,
        ]
        self.respond.restype = None
        self.report_run = library.report_run
        self.report_run.argtypes = [
            ctypes.c_void_p,
            ctypes.c_uint64,
            ctypes.c_uint64,
            ctypes.c_uint64,
        ]
        self.report_run.restype = None
        self.is_cancelled = library.is_cancelled
        self.is_cancelled.argtypes = [ctypes.c_void_p]
        self.is_cancelled.restype = ctypes.c_bool
        self.log_message = library.log_message
        self.log_message.argtypes = [ctypes.c_int, ctypes.c_char_p]
        self.log_message.restype = None
        return library


native = Native()
