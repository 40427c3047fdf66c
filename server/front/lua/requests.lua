-- Requests for an inference, checked against what the model takes. What goes on to the server is made
-- anew: nothing of the client's JSON but texts, an id and names that the model knows.
local cjson = require "cjson.safe"
local contract = require "contract"

local M = {}

local MOST_DEPTH = 8
local MOST_ID_BYTES = 256

cjson.decode_max_depth(MOST_DEPTH)
cjson.decode_invalid_numbers(false)

local function is_array(value)
  if type(value) ~= "table" then
    return false
  end
  local count = 0
  for _ in pairs(value) do
    count = count + 1
  end
  return count == #value
end

-- The first key of a table that is none of the known ones, as far as it can be shown.
function M.unknown(value, known)
  for key in pairs(value) do
    if not known[key] then
      return string.match(tostring(key), "^[%w_.-]+$") and string.sub(key, 1, 64) or "?"
    end
  end
end

local function is_integer(value, least, most)
  return type(value) == "number" and value % 1 == 0 and value >= least and value <= most
end

-- An object out of JSON, or nil and what is wrong with it.
function M.decode(body)
  local value = cjson.decode(body)
  if type(value) ~= "table" then
    return nil, "the body is not a JSON object"
  end
  return value
end

-- nil, or what is wrong with a text.
function M.text_problem(text)
  if type(text) ~= "string" then
    return "a text must be a string"
  elseif #text > contract.max_text_bytes then
    return "a text has more than " .. contract.max_text_bytes .. " bytes"
  end
  local _, _, problem = ngx.re.find(text, "", "uo")
  if problem then
    return "a text is not UTF-8"
  end
end

-- Lists of texts by the names of the model's inputs, as JSON of the V2 protocol.
function M.encode(columns, count, id, outputs)
  local inputs = {}
  for place, name in ipairs(contract.inputs) do
    inputs[place] = '{"name":"' .. name .. '","datatype":"BYTES","shape":[' .. count .. ',1],"data":'
      .. cjson.encode(columns[name]) .. "}"
  end
  local parts = { '{"inputs":[' .. table.concat(inputs, ",") .. "]" }
  if id then
    parts[#parts + 1] = '"id":' .. cjson.encode(id)
  end
  if outputs then
    parts[#parts + 1] = '"outputs":[' .. table.concat(outputs, ",") .. "]"
  end
  return table.concat(parts, ",") .. "}"
end

local function shape_problem(shape)
  if not is_array(shape) or #shape ~= 2 then
    return "shape must be [texts, 1]"
  elseif not is_integer(shape[1], 1, contract.max_batch_size) then
    return "shape must begin with 1 to " .. contract.max_batch_size .. " texts"
  elseif shape[2] ~= 1 then
    return "shape must end with 1"
  end
end

local INPUT_FIELDS = { name = true, datatype = true, shape = true, data = true, parameters = true }

-- The texts of `data`, flat or with a list for each row.
local function texts_of(data, count)
  if not is_array(data) or #data ~= count then
    return nil, "data must be as many texts as shape says"
  end
  local texts = {}
  for row, text in ipairs(data) do
    if type(text) == "table" then
      if not is_array(text) or #text ~= 1 then
        return nil, "a row of data must be one text"
      end
      text = text[1]
    end
    local problem = M.text_problem(text)
    if problem then
      return nil, problem
    end
    texts[row] = text
  end
  return texts
end

-- The texts in the bytes of a tensor: four bytes of length before each, the least first.
local function texts_of_bytes(bytes, count)
  local texts, place = {}, 1
  for row = 1, count do
    local a, b, c, d = string.byte(bytes, place, place + 3)
    if not d then
      return nil, "the binary data is shorter than shape says"
    end
    local length = a + b * 0x100 + c * 0x10000 + d * 0x1000000
    place = place + 4
    if place + length - 1 > #bytes then
      return nil, "the binary data is shorter than it says"
    end
    local text = string.sub(bytes, place, place + length - 1)
    local problem = M.text_problem(text)
    if problem then
      return nil, problem
    end
    texts[row] = text
    place = place + length
  end
  if place <= #bytes then
    return nil, "the binary data is longer than it says"
  end
  return texts
end

-- The texts of an input, and how many bytes of `binary` were its own; or nil and what is wrong.
local function read_input(input, binary)
  local field = type(input) == "table" and M.unknown(input, INPUT_FIELDS)
  if field or type(input) ~= "table" then
    return nil, field and "inputs have no field '" .. field .. "'" or "an input must be an object"
  elseif input.datatype ~= "BYTES" then
    return nil, "datatype must be BYTES"
  end
  local problem = shape_problem(input.shape)
  if problem then
    return nil, problem
  end
  local count, parameters = input.shape[1], input.parameters
  if parameters == nil then
    local texts
    texts, problem = texts_of(input.data, count)
    return texts, problem or 0
  end
  local size = type(parameters) == "table" and parameters.binary_data_size
  local other = type(parameters) == "table" and M.unknown(parameters, { binary_data_size = true })
  if other or not is_integer(size, 0, #binary) or input.data ~= nil then
    return nil, other and "parameter '" .. other .. "' is not supported"
      or "binary_data_size must be a number of bytes that follow, in place of data"
  end
  local texts
  texts, problem = texts_of_bytes(string.sub(binary, 1, size), count)
  return texts, problem or size
end

local OUTPUT_FIELDS = { name = true, parameters = true }

-- An output as JSON, or nil and what is wrong.
local function read_output(output, seen, binary_by_default)
  local field = type(output) == "table" and M.unknown(output, OUTPUT_FIELDS)
  if field or type(output) ~= "table" then
    return nil, field and "outputs have no field '" .. field .. "'" or "an output must be an object"
  end
  local name = output.name
  if type(name) ~= "string" or not contract.outputs[name] then
    return nil, "unknown output"
  elseif seen[name] then
    return nil, "output '" .. name .. "' is there twice"
  end
  seen[name] = true
  local parameters, binary = output.parameters, binary_by_default
  if parameters ~= nil then
    local other = type(parameters) ~= "table" and "parameters"
      or M.unknown(parameters, { binary_data = true })
    if other then
      return nil, "parameter '" .. other .. "' is not supported"
    end
    if parameters.binary_data ~= nil then
      binary = parameters.binary_data
    end
    if type(binary) ~= "boolean" then
      return nil, "binary_data must be true or false"
    end
  end
  return '{"name":"' .. name .. '","parameters":{"binary_data":' .. tostring(binary) .. "}}"
end

local function read_outputs(outputs, binary_by_default)
  if outputs == nil then
    if not binary_by_default then
      return nil
    end
    outputs = {}
    for name in pairs(contract.outputs) do
      outputs[#outputs + 1] = { name = name }
    end
  end
  -- An empty list asks for all, as none does; lists longer than there are outputs name one twice.
  if not is_array(outputs) then
    return nil, "outputs must be a list"
  end
  local found, seen = {}, {}
  for place, output in ipairs(outputs) do
    local text, problem = read_output(output, seen, binary_by_default)
    if not text then
      return nil, problem
    end
    found[place] = text
  end
  return #found > 0 and found or nil
end

local function id_problem(id)
  if id ~= nil and (type(id) ~= "string" or #id > MOST_ID_BYTES or string.find(id, "%c")) then
    return "id must be a string of at most " .. MOST_ID_BYTES .. " bytes without control characters"
  end
  if id then
    return M.text_problem(id) and "id is not UTF-8"
  end
end

local REQUEST_FIELDS = { id = true, inputs = true, outputs = true, parameters = true }

-- Checks a request of the V2 protocol and makes it anew.
--
-- json: the client's. binary: the bytes behind it, "" for none.
-- Returns JSON for the server, or nil and what is wrong.
function M.rebuilt(json, binary)
  local request, problem = M.decode(json)
  if not request then
    return nil, problem
  end
  local field = M.unknown(request, REQUEST_FIELDS)
  if field then
    return nil, "requests have no field '" .. field .. "'"
  end
  problem = id_problem(request.id)
  if problem then
    return nil, problem
  end
  local binary_by_default = false
  if request.parameters ~= nil then
    local other = type(request.parameters) ~= "table" and "parameters"
      or M.unknown(request.parameters, { binary_data_output = true })
    if other then
      return nil, "parameter '" .. other .. "' is not supported"
    end
    binary_by_default = request.parameters.binary_data_output
    if binary_by_default == nil then
      binary_by_default = false
    elseif type(binary_by_default) ~= "boolean" then
      return nil, "binary_data_output must be true or false"
    end
  end
  if not is_array(request.inputs) or #request.inputs ~= #contract.inputs then
    return nil, "inputs must be a list of " .. table.concat(contract.inputs, " and ")
  end
  local columns, count = {}, nil
  for _, input in ipairs(request.inputs) do
    local texts, used = read_input(input, binary)
    if not texts then
      return nil, used
    end
    if type(input.name) ~= "string" or not contract.is_input[input.name] then
      return nil, "unknown input"
    elseif columns[input.name] then
      return nil, "input '" .. input.name .. "' is there twice"
    elseif count and count ~= #texts then
      return nil, "inputs must have as many texts each"
    end
    columns[input.name], count = texts, #texts
    binary = string.sub(binary, used + 1)
  end
  if binary ~= "" then
    return nil, "there is more binary data than the inputs say"
  end
  local outputs
  outputs, problem = read_outputs(request.outputs, binary_by_default)
  if problem then
    return nil, problem
  end
  return M.encode(columns, count, request.id, outputs)
end

return M
