module lifecycle

go 1.18
