# shellcheck shell=bash
# What the ensemble may be called. Sourced.

# The template's folder that takes the model's name: Triton wants folder and model named alike.
readonly ENSEMBLE_FOLDER='ensemble_model'

# model_name_problem NAME TEMPLATE: prints what is wrong with a name, nothing when it is fit
model_name_problem() {
  local name="$1" template="$2"
  # Triton hands model names to a shell when it starts a model: this list is a security boundary.
  if [[ ! "$name" =~ ^[a-z0-9][a-z0-9_.-]{0,62}$ || "$name" == *..* ]]; then
    printf 'must be 1 to 63 of a-z 0-9 _ . -, start with a letter or digit, and have no ..'
  elif [[ "$name" != "$ENSEMBLE_FOLDER" && -e "$template/$name" ]]; then
    printf 'is the name of a model inside the ensemble'
  fi
}
