#!/bin/bash
# As on Vertex AI: whatever was asked for becomes arguments of the server.
set -- ${AIP_MODE:+/opt/tritonserver/bin/tritonserver} "$@"
