-- POST /classify: {"text": "…"} or {"texts": ["…", …]}, with text_pair or text_pairs where the model
-- compares two; the answer is a list of {label, score}, or a list of those lists.
local cjson = require "cjson.safe"
local contract = require "contract"
local errors = require "errors"
local guard = require "guard"
local requests = require "requests"

local M = {}

-- Batches that are asked for at once.
local AT_ONCE = 4

local OUTPUTS = { '{"name":"labels"}', '{"name":"scores"}' }

-- By the number of texts that come: the fields, in the order of the model's inputs.
local SINGULAR, PLURAL = { "text", "text_pair" }, { "texts", "text_pairs" }

local function list_problem(values, count)
  if type(values) ~= "table" or #values == 0 then
    return "must be a list of texts"
  elseif #values > contract.max_texts then
    return "has more than " .. contract.max_texts .. " texts"
  elseif count and #values ~= count then
    return "must have as many texts as the other"
  end
  for _, text in ipairs(values) do
    local problem = requests.text_problem(text)
    if problem then
      return "is wrong: " .. problem
    end
  end
end

-- Lists of texts by the fields' places, and whether it is a list that was asked for.
local function columns_of(request)
  local several = request.texts ~= nil
  local fields = several and PLURAL or SINGULAR
  local known = {}
  for place = 1, #contract.inputs do
    known[fields[place]] = true
  end
  local name = requests.unknown(request, known)
  if name then
    return nil, "requests have no field '" .. name .. "' beside " .. fields[1]
  end
  local columns = {}
  for place = 1, #contract.inputs do
    local values = request[fields[place]]
    if not several then
      values = { values }
    end
    local problem = list_problem(values, columns[1] and #columns[1])
    if problem then
      return nil, fields[place] .. " " .. problem
    end
    columns[place] = values
  end
  return columns, several
end

local function batch(columns, first)
  local parts, count = {}, 0
  for place, name in ipairs(contract.inputs) do
    local last = math.min(first + contract.max_batch_size - 1, #columns[place])
    parts[name] = {}
    for row = first, last do
      parts[name][row - first + 1] = columns[place][row]
    end
    count = last - first + 1
  end
  return { "/-/infer", { method = ngx.HTTP_POST, body = requests.encode(parts, count, nil, OUTPUTS) } }
end

-- What one answer of the server says of its texts.
local function add_results(results, body)
  local reply = cjson.decode(body)
  local values = {}
  for _, output in ipairs(reply.outputs) do
    values[output.name] = output
  end
  local labels, scores = values.labels.data, values.scores.data
  local width = values.labels.shape[2]
  for row = 0, values.labels.shape[1] - 1 do
    local result = {}
    for place = 1, width do
      local label, score = labels[row * width + place], scores[row * width + place]
      -- Nine digits tell any two FP32 apart.
      result[place] = string.format('{"label":%s,"score":%.9g}', cjson.encode(label), score)
    end
    results[#results + 1] = "[" .. table.concat(result, ",") .. "]"
  end
end

-- For content_by_lua.
function M.answer()
  guard.check_key()
  local request, problem = requests.decode(guard.read_body())
  if not request then
    return errors.refuse(400, "request", problem)
  end
  local columns, several = columns_of(request)
  if not columns then
    return errors.refuse(400, "request", several)
  end
  guard.enter()
  local results, first = {}, 1
  while first <= #columns[1] do
    local asked = {}
    while first <= #columns[1] and #asked < AT_ONCE do
      asked[#asked + 1] = batch(columns, first)
      first = first + contract.max_batch_size
    end
    for _, reply in ipairs({ ngx.location.capture_multi(asked) }) do
      if reply.status ~= 200 then
        ngx.status = reply.status
        return errors.page()
      end
      add_results(results, reply.body)
    end
  end
  ngx.header["Content-Type"] = "application/json"
  ngx.say(several and "[" .. table.concat(results, ",") .. "]" or results[1])
end

return M
