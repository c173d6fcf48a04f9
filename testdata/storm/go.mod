module storm

go 1.18
