module storm

go 1.17
