module latencies

go 1.26
