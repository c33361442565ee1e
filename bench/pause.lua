-- For wrk: each connection waits 0 to 14 ms between requests, so that the server is busy but not at its end.
function delay()
   return math.random(0, 14)
end
