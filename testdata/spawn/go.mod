module spawn

go 1.17
