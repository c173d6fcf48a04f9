module exact

go 1.18
