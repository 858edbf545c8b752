# Commands for the stage that .env names. Read it in the repository's root, in bash or zsh: `. infra/stage_commands.sh`
# Each runs in a shell of its own and reads .env anew: `s` prefers what a shell has exported, so an old value, or an address
# that is meant for this machine, would otherwise reach the functions at the next deployment.

s() (
  set -a
  . ./.env || exit 1
  AccountID=$DEPLOY_ACCOUNT_ID
  AccessKeyID=$ALIBABA_CLOUD_ACCESS_KEY_ID
  AccessKeySecret=$ALIBABA_CLOUD_ACCESS_KEY_SECRET
  exec infra/serverless_devs/node_modules/.bin/s "$@"
)

# From outside of the region, so by the public addresses.
sluice() (
  set -a
  . ./.env || exit 1
  SLUICE_STORAGE_BACKEND=oss
  SLUICE_OSS_ENDPOINT=https://oss-$DEPLOY_REGION.aliyuncs.com
  SLUICE_TABLESTORE_ENDPOINT=$DEPLOY_TABLESTORE_PUBLIC_ENDPOINT
  exec .venv/bin/sluice "$@"
)
