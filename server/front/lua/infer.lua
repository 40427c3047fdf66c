-- POST /v2/models/NAME/infer: what goes on is what requests.lua made of it.
local errors = require "errors"
local guard = require "guard"
local requests = require "requests"

local M = {}

-- JSON and the binary data behind it.
local function split(body)
  local header = ngx.var.http_inference_header_content_length
  if not header then
    return body, ""
  end
  local length = string.find(header, "^%d+$") and #header < 10 and tonumber(header)
  if not length or length > #body then
    return nil, "Inference-Header-Content-Length is not a length within the body"
  end
  return string.sub(body, 1, length), string.sub(body, length + 1)
end

-- For access_by_lua, before proxy_pass.
function M.check()
  guard.check_key()
  local json, binary = split(guard.read_body())
  if not json then
    return errors.refuse(400, "request", binary)
  end
  local rebuilt, problem = requests.rebuilt(json, binary)
  if not rebuilt then
    return errors.refuse(400, "request", problem)
  end
  guard.enter()
  ngx.req.set_body_data(rebuilt)
end

return M
