module survivor

go 1.18
