module family

go 1.17
