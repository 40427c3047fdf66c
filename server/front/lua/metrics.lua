-- Counters of the front, beside those of the server.
local M = {}

local state = ngx.shared.metrics

-- Upper bounds of seconds. A request is counted in the first that it is within; Prometheus wants those
-- of all bounds below added up, which is done when it asks.
local BUCKETS = { 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, math.huge }

-- For log_by_lua. Routes are names out of nginx.conf, nothing of the client's.
function M.count()
  local route = ngx.var.route ~= "" and ngx.var.route or "other"
  state:incr('front_requests_total{route="' .. route .. '",code="' .. ngx.status .. '"}', 1, 0)
  local reason = ngx.var.reason
  if reason ~= "" then
    state:incr('front_refused_total{reason="' .. reason .. '"}', 1, 0)
  end
  local seconds = tonumber(ngx.var.request_time) or 0
  local place = 1
  while seconds > BUCKETS[place] do
    place = place + 1
  end
  state:incr("within/" .. route .. "/" .. place, 1, 0)
  state:incr("seconds/" .. route, seconds, 0)
end

local function say_about(name, kind, help)
  ngx.say("# HELP ", name, " ", help)
  ngx.say("# TYPE ", name, " ", kind)
end

local function say_histogram(name, route)
  local sum = 0
  for place, bound in ipairs(BUCKETS) do
    sum = sum + (state:get("within/" .. route .. "/" .. place) or 0)
    local le = bound == math.huge and "+Inf" or bound
    ngx.say(name, '_bucket{route="', route, '",le="', le, '"} ', sum)
  end
  ngx.say(name, '_sum{route="', route, '"} ', state:get("seconds/" .. route))
  ngx.say(name, '_count{route="', route, '"} ', sum)
end

local COUNTERS = {
  { "front_requests_total", "Requests by route and status." },
  { "front_refused_total", "Requests that the front itself refused, by reason." },
}

-- For content_by_lua.
function M.answer()
  ngx.header["Content-Type"] = "text/plain; version=0.0.4; charset=utf-8"
  local keys = state:get_keys(0)
  table.sort(keys)
  for _, counter in ipairs(COUNTERS) do
    say_about(counter[1], "counter", counter[2])
    for _, key in ipairs(keys) do
      if string.find(key, counter[1], 1, true) == 1 then
        ngx.say(key, " ", state:get(key))
      end
    end
  end
  local name = "front_request_seconds"
  say_about(name, "histogram", "From the first byte of a request to the last of its answer.")
  for _, key in ipairs(keys) do
    local route = string.match(key, "^seconds/(.+)$")
    if route then
      say_histogram(name, route)
    end
  end
  say_about("front_requests_in_flight", "gauge", "Requests that the model works on.")
  ngx.say("front_requests_in_flight", " ", require("guard").in_flight())
  local reply = ngx.location.capture("/-/metrics")
  if reply.status == 200 then
    ngx.print(reply.body)
  end
end

return M
