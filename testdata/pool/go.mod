module pool

go 1.18
