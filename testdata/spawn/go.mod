module spawn

go 1.18
