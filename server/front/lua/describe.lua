-- GET /v2: server metadata of the V2 protocol.
local cjson = require "cjson.safe"
local errors = require "errors"

local M = {}

-- For content_by_lua: the server's own answer, without the extensions that nobody reaches through the
-- front.
function M.server()
  local reply = ngx.location.capture("/-/server")
  local metadata = reply.status == 200 and cjson.decode(reply.body)
  if not metadata then
    ngx.status = 503
    return errors.page()
  end
  metadata.extensions = { "binary_tensor_data" }
  ngx.say(cjson.encode(metadata))
end

return M
