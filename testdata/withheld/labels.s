// It lets a function be declared that another package has.
