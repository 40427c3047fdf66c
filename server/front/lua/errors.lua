-- Refusals: JSON with `error`, whoever refuses.
local cjson = require "cjson.safe"

local M = {}

-- What nginx itself says with a status and no text, and what takes the place of the server's own texts,
-- which may name paths.
local TEXTS = {
  [400] = "not an HTTP request that this server takes",
  [404] = "no such endpoint",
  [405] = "method not allowed",
  [408] = "the request took too long to arrive",
  [411] = "a request without Content-Length",
  [412] = "the condition of the request does not hold",
  [413] = "the body is too large",
  [414] = "the address is too long",
  [415] = "unsupported content encoding",
  [429] = "too many requests at once",
  [431] = "the headers are too large",
  [494] = "the headers are too large",
  [500] = "the model failed",
  [501] = "unsupported transfer encoding",
  [502] = "the model server does not answer",
  [503] = "not ready",
  [504] = "the model took too long",
  [505] = "unsupported version of HTTP",
}

local RETRY_SECONDS = "1"

-- Answers with a status and, for metrics, the reason; ends the request.
function M.refuse(status, reason, text)
  ngx.status = status
  ngx.var.reason = reason
  ngx.header["Content-Type"] = "application/json"
  if status == 429 or status == 503 then
    ngx.header["Retry-After"] = RETRY_SECONDS
  elseif status == 401 then
    ngx.header["WWW-Authenticate"] = "Bearer"
  end
  ngx.say(cjson.encode({ error = text }))
  return ngx.exit(ngx.HTTP_OK)
end

-- The methods that a path takes; nginx refuses TRACE before it looks for the path's location.
local function methods_of(address)
  local path = string.match(address, "^[^?]*")
  return (path == "/classify" or string.find(path, "/infer$")) and "POST" or "GET, HEAD"
end

-- For error_page.
function M.page()
  local status = ngx.status
  if status == 405 then
    ngx.header["Allow"] = methods_of(ngx.var.request_uri)
  end
  return M.refuse(status, ngx.var.reason ~= "" and ngx.var.reason or "status_" .. status, TEXTS[status] or "request failed")
end

return M
