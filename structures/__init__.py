"""What is modelled: crystals, supercells, vacancies, clusters."""
