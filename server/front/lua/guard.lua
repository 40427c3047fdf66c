-- Who may come in, and how many at a time.
local contract = require "contract"
local errors = require "errors"

local M = {}

local state = ngx.shared.front

-- Keys are compared by their digests under a secret of this process: how long that takes says nothing
-- about how much of a key was right.
local SECRET = nil
local digests = nil

local function read_keys()
  local file = assert(io.open("/dev/urandom", "rb"))
  SECRET = file:read(20)
  file:close()
  digests = {}
  for _, key in ipairs(contract.api_keys) do
    digests[ngx.hmac_sha1(SECRET, key)] = true
  end
end

-- Refuses whoever has no key, if any are asked for: `Authorization: Bearer KEY` or `X-API-Key: KEY`.
function M.check_key()
  if #contract.api_keys == 0 then
    return
  end
  if not digests then
    read_keys()
  end
  local authorization = ngx.var.http_authorization
  local key = authorization and string.match(authorization, "^[Bb]earer +(.+)$")
    or ngx.var.http_x_api_key
  if not key or not digests[ngx.hmac_sha1(SECRET, key)] then
    return errors.refuse(401, "api_key", "an API key is needed (Authorization: Bearer KEY)")
  end
end

-- By worker: with one that dies, its requests are gone.
local function counter(worker)
  return "in_flight_" .. worker
end

-- For init_worker_by_lua.
function M.start()
  state:set(counter(ngx.worker.id()), 0)
end

-- How many requests are under way.
function M.in_flight()
  local sum = 0
  for worker = 0, ngx.worker.count() - 1 do
    sum = sum + (state:get(counter(worker)) or 0)
  end
  return sum
end

-- Counts a request whose body is there; refuses it where too many are under way. Slow senders are not
-- counted, so that they take nobody's place.
function M.enter()
  state:incr(counter(ngx.worker.id()), 1, 0)
  -- ngx.ctx does not outlive the way to an error page.
  ngx.var.counted = "1"
  if M.in_flight() > contract.max_in_flight then
    return errors.refuse(429, "in_flight", "too many requests at once")
  end
end

-- For log_by_lua, which every request comes to.
function M.leave()
  if ngx.var.counted == "1" then
    state:incr(counter(ngx.worker.id()), -1)
  end
end

-- The whole body of a POST with nothing around it that would have to be undone.
function M.read_body()
  if ngx.req.get_method() ~= "POST" then
    ngx.header["Allow"] = "POST"
    return errors.refuse(405, "method", "method not allowed (POST)")
  elseif ngx.var.http_content_encoding then
    return errors.refuse(415, "encoding", "Content-Encoding is not supported")
  end
  ngx.req.read_body()
  -- In a file is what came in so many chunks that they fill the room for a whole body.
  if ngx.req.get_body_file() then
    return errors.refuse(413, "body", "the body came in too many chunks")
  end
  local body = ngx.req.get_body_data()
  if not body then
    return errors.refuse(400, "body", "a body is needed")
  end
  return body
end

return M
