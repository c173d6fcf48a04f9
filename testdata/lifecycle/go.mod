module lifecycle

go 1.17
