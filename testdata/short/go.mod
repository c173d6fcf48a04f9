module short

go 1.17
