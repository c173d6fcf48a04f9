module torture

go 1.18
