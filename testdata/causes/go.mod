module causes

go 1.20
