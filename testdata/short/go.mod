module short

go 1.18
