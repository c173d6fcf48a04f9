module hello

go 1.17
