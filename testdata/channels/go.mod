module channels

go 1.17
