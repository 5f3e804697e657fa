# A Sidekiq job: `sidekiq -r ./sidekiq_queue.rb` does them ("done N"), `ruby sidekiq_queue.rb` adds jobs 0, 1, 2, ... until it is
# ended ("added N"). REDIS_URL says where redis is.
require 'sidekiq'

$stdout.sync = true

class Job
  include Sidekiq::Worker

  def perform(number)
    $stdout.write("done #{number}\n")
  end
end

def add
  number = 0
  loop do
    Job.perform_async(number)
    puts "added #{number}"
    number += 1
  rescue StandardError => error
    puts "error #{error.inspect}"
  ensure
    sleep 0.02
  end
end

add unless Sidekiq.server?
