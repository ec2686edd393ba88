-- Returns the number of running `sleep SECONDS` in the guest. Each test uses a different number of seconds.
return function(vm, seconds)
  return tonumber(vm:run("ps -o args | grep -cx 'sleep " .. seconds .. "'").stdout)
end
