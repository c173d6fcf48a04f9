module forking

go 1.18
