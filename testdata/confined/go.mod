module confined

go 1.18
