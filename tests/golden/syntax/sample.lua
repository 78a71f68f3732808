local json = require("json")
local M = {}
LIMIT = 10
local count = 0
-- Adds.
function M.add(a, b) return helper(a) + b end
function M:method(x) self.x = x end
local function inner(y) return M.add(y, LIMIT) end
M.lambda = function(z) return inner(z) end
local f = function() end
function global() json.decode("x") end
return M
--[[ Long
comment. ]]
local s, t = [==[ function not_one() ]==], 1
for i, each in ipairs(M) do
  if each == i then M.add(each, s) elseif x then y() else z = 1 end
end
local config = { on_open = function(w) return w end, name = "x" }
