-- How many `sleep SECONDS` run in the guest. Each test sleeps for seconds of its own.
return function(vm, seconds)
  return tonumber(vm:run("ps -o args | grep -cx 'sleep " .. seconds .. "'").stdout)
end
