# cumulet down: stops the cloud and leaves its servers running; --purge removes everything it made. Sourced.
# shellcheck shell=sh disable=SC2154 # root, node, self are set by cumulet

run_down() {
  purge=
  case ${1-} in
    '') ;;
    --purge) purge=yes ;;
    *)
      echo "cumulet: down knows only --purge, but got: $*" >&2
      exit 2
      ;;
  esac
  begin down
  if [ -n "$purge" ]; then
    purge_cloud
    return 0
  fi
  if cloud_pid > /dev/null; then
    stop_process
    echo "The cloud is stopped. Its servers keep running, with their networks; sudo $self up takes them over again."
  else
    echo "The cloud is not running."
  fi
}
