-- What the model takes, out of the file that was written when its repository was rendered, and what
-- the front was told at its start.
local cjson = require "cjson.safe"

local M = {}

-- Fills this module with the fields of two JSON files.
function M.load(...)
  for _, path in ipairs({ ... }) do
    local file = assert(io.open(path, "rb"))
    for name, value in pairs(assert(cjson.decode(file:read("*a")))) do
      M[name] = value
    end
    file:close()
  end
  M.is_input = {}
  for _, name in ipairs(M.inputs) do
    M.is_input[name] = true
  end
end

return M
